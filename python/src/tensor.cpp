// The Python class Tensor: a handle with a dictionary for the user's attributes.
#include <Python.h>
#include <structmember.h>

#include <cstddef>
#include <new>

#include "args.h"
#include "data.h"
#include "numbers.h"
#include "objects.h"
#include "slots.h"

namespace tallow::python {

PyTypeObject* tensor_type;

PyObject* wrap_as(PyTypeObject* type, Tensor tensor) {
  PyObject* object = type->tp_alloc(type, 0);
  if (!object) return nullptr;
  new (&tensor_of(object)) Tensor(std::move(tensor));
  return object;
}

PyObject* wrap(Tensor tensor) {
  if (!tensor.defined()) Py_RETURN_NONE;
  return wrap_as(tensor_type, std::move(tensor));
}

Tensor& checked_tensor(PyObject* object) {
  if (is_tensor(object)) return tensor_of(object);
  PyErr_Format(PyExc_TypeError, "expected a Tensor, not %s", Py_TYPE(object)->tp_name);
  throw PythonError{};
}

namespace {

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(reinterpret_cast<TensorObject*>(self)->dict);
  Py_VISIT(reinterpret_cast<TensorObject*>(self)->grad);
  Py_VISIT(Py_TYPE(self));
  return 0;
}
int clear(PyObject* self) {
  Py_CLEAR(reinterpret_cast<TensorObject*>(self)->dict);
  Py_CLEAR(reinterpret_cast<TensorObject*>(self)->grad);
  return 0;
}
void deallocate(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  if (reinterpret_cast<TensorObject*>(self)->weak_references) PyObject_ClearWeakRefs(self);
  clear(self);
  tensor_of(self).~Tensor();
  type->tp_free(self);
  Py_DECREF(type);
}

// Tensor(): empty; Tensor(2, 3): of a size; Tensor(data): of the default dtype.
PyObject* make(PyTypeObject* type, PyObject* args, PyObject*) {
  try {
    const Py_ssize_t count = PyTuple_GET_SIZE(args);
    PyObject* first = count > 0 ? PyTuple_GET_ITEM(args, 0) : nullptr;
    if (count == 1 && is_tensor(first)) return wrap_as(type, tensor_of(first).detach());
    if (first && !PyLong_Check(first)) {
      return wrap_as(type, nested_tensor(first, default_dtype()));
    }
    Shape shape;
    for (Py_ssize_t i = 0; i < count; ++i) {
      shape.push_back(to_integer(PyTuple_GET_ITEM(args, i)));
    }
    if (count == 0) shape.push_back(0);
    return wrap_as(type, Tensor::empty(shape, default_dtype()));
  } catch (...) {
    set_error();
    return nullptr;
  }
}

PyMemberDef members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(TensorObject, dict), READONLY, nullptr},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(TensorObject, weak_references), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

}  // namespace

void add_tensor_class(PyObject* module) {
  std::vector<PyType_Slot> slots = {
      slot(Py_tp_dealloc, deallocate), slot(Py_tp_traverse, traverse),
      slot(Py_tp_clear, clear),        slot(Py_tp_getset, tensor_attributes()),
      slot(Py_tp_members, members),    slot(Py_tp_methods, tensor_methods)};
  slots.push_back(slot(Py_tp_new, make));
  add_number_slots(slots);
  add_index_slots(slots);
  slots.push_back({0, nullptr});
  PyType_Spec spec{"tallow.Tensor", sizeof(TensorObject), 0,
                   Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots.data()};
  tensor_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  if (!tensor_type) throw PythonError{};
  PyModule_AddObjectRef(module, "Tensor", reinterpret_cast<PyObject*>(tensor_type));
}

}  // namespace tallow::python
