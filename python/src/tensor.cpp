// The Python class Tensor: its making, attributes and conversions.

#include <Python.h>
#include <structmember.h>

#include <cstddef>
#include <new>

#include "args.h"
#include "numbers.h"
#include "objects.h"

namespace tallow::python {

PyTypeObject* tensor_type;
extern PyMethodDef tensor_methods[];  // tensor_methods.cpp

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

namespace {

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(reinterpret_cast<TensorObject*>(self)->dict);
  Py_VISIT(Py_TYPE(self));
  return 0;
}
int clear(PyObject* self) {
  Py_CLEAR(reinterpret_cast<TensorObject*>(self)->dict);
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

PyObject* get_shape(PyObject* self, void*) { return size_object(tensor_of(self).shape()); }
PyObject* get_dtype(PyObject* self, void*) {
  return Py_NewRef(dtype_object(tensor_of(self).dtype()));
}
PyObject* get_device(PyObject* self, void*) { return device_object(tensor_of(self).device()); }
PyObject* get_ndim(PyObject* self, void*) { return PyLong_FromLong(tensor_of(self).dim()); }
PyObject* get_requires_grad(PyObject* self, void*) {
  return PyBool_FromLong(tensor_of(self).requires_grad());
}
int set_requires_grad(PyObject* self, PyObject* value, void*) {
  try {
    tensor_of(self).requires_grad_(PyObject_IsTrue(value) == 1);
    return 0;
  } catch (...) {
    set_error();
    return -1;
  }
}
PyObject* get_grad(PyObject* self, void*) { return wrap(tensor_of(self).grad()); }
int set_grad(PyObject* self, PyObject* value, void*) {
  if (value && value != Py_None && !is_tensor(value)) {
    PyErr_SetString(PyExc_TypeError, "grad: expected a Tensor or None");
    return -1;
  }
  tensor_of(self).set_grad(!value || value == Py_None ? Tensor() : tensor_of(value));
  return 0;
}
PyObject* get_itemsize(PyObject* self, void*) {
  return PyLong_FromLong(info(tensor_of(self).dtype()).bytes);
}
PyObject* get_nbytes(PyObject* self, void*) {
  return PyLong_FromLongLong(tensor_of(self).nbytes());
}

PyGetSetDef getset[] = {
    {"shape", get_shape, nullptr, "The sizes, as a Size.", nullptr},
    {"dtype", get_dtype, nullptr, nullptr, nullptr},
    {"device", get_device, nullptr, nullptr, nullptr},
    {"ndim", get_ndim, nullptr, nullptr, nullptr},
    {"requires_grad", get_requires_grad, set_requires_grad, nullptr, nullptr},
    {"grad", get_grad, set_grad, "The gradient that backward() accumulated, or None.", nullptr},
    {"itemsize", get_itemsize, nullptr, nullptr, nullptr},
    {"nbytes", get_nbytes, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyMemberDef members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(TensorObject, dict), READONLY, nullptr},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(TensorObject, weak_references), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

template <class T>
void* slot(T function) {
  return reinterpret_cast<void*>(function);
}

}  // namespace

void add_tensor_class(PyObject* module) {
  PyType_Slot slots[] = {{Py_tp_dealloc, slot(deallocate)},
                         {Py_tp_traverse, slot(traverse)},
                         {Py_tp_clear, slot(clear)},
                         {Py_tp_getset, getset},
                         {Py_tp_members, members},
                         {Py_tp_methods, tensor_methods},
                         {0, nullptr}};
  PyType_Spec spec{"tallow.Tensor", sizeof(TensorObject), 0,
                   Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots};
  tensor_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  if (!tensor_type) throw PythonError{};
  PyModule_AddObjectRef(module, "Tensor", reinterpret_cast<PyObject*>(tensor_type));
}

}  // namespace tallow::python
