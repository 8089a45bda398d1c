// The slots of the Python class Tensor: arithmetic, comparison, indexing, attributes.
#pragma once

#include <Python.h>
#include <structmember.h>

#include <vector>

namespace tallow::python {

template <class T>
PyType_Slot slot(int id, T* function) {
  return {id, reinterpret_cast<void*>(function)};
}

void add_number_slots(std::vector<PyType_Slot>& slots);
void add_index_slots(std::vector<PyType_Slot>& slots);
PyGetSetDef* tensor_attributes();
extern PyMethodDef tensor_methods[];

}  // namespace tallow::python
