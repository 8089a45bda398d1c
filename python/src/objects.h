// The Python classes Tensor, dtype, device and Size, as C++ sees them.
#pragma once

#include <Python.h>

#include "tallow/tensor.h"

namespace tallow::python {

struct TensorObject {
  PyObject_HEAD Tensor tensor;
  PyObject* dict;
  PyObject* weak_references;
  PyObject* grad;  // what `grad` gave last, so that it gives the same object again
};

extern PyTypeObject* tensor_type;

inline bool is_tensor(PyObject* object) {
  return Py_TYPE(object) == tensor_type || PyType_IsSubtype(Py_TYPE(object), tensor_type);
}
inline Tensor& tensor_of(PyObject* object) {
  return reinterpret_cast<TensorObject*>(object)->tensor;
}
/// The same of an object that may be none: throws PythonError, with a TypeError set.
Tensor& checked_tensor(PyObject* object);
/// A new reference; None for an undefined tensor.
PyObject* wrap(Tensor tensor);
/// A new reference to an instance of `type`, a subclass of Tensor.
PyObject* wrap_as(PyTypeObject* type, Tensor tensor);

/// A borrowed reference.
PyObject* dtype_object(DType dtype);
bool is_dtype(PyObject* object);
DType dtype_of(PyObject* object);

PyObject* device_object(Device device);
bool is_device(PyObject* object);
/// Also of "cpu", "cuda:1".
Device device_of(PyObject* object);

bool is_generator(PyObject* object);

/// A new reference to a Size, a subclass of tuple.
PyObject* size_object(const Shape& shape);

void add_objects(PyObject* module);

}  // namespace tallow::python
