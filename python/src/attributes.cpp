// The attributes of the Python class Tensor.
#include "args.h"
#include "objects.h"
#include "slots.h"
#include "tallow/error.h"

namespace tallow::python {
namespace {

PyObject* get_shape(PyObject* self, void*) { return size_object(tensor_of(self).shape()); }
PyObject* get_dtype(PyObject* self, void*) {
  return Py_NewRef(dtype_object(tensor_of(self).dtype()));
}
PyObject* get_device(PyObject* self, void*) { return device_object(tensor_of(self).device()); }
PyObject* get_ndim(PyObject* self, void*) { return PyLong_FromLong(tensor_of(self).dim()); }
PyObject* get_itemsize(PyObject* self, void*) {
  return PyLong_FromLong(info(tensor_of(self).dtype()).bytes);
}
PyObject* get_nbytes(PyObject* self, void*) {
  return PyLong_FromLongLong(tensor_of(self).nbytes());
}

PyObject* get_requires_grad(PyObject* self, void*) {
  return guarded([&] { return PyBool_FromLong(tensor_of(self).requires_grad()); });
}
int set_requires_grad(PyObject* self, PyObject* value, void*) {
  return guarded_set([&] { tensor_of(self).requires_grad_(value && PyObject_IsTrue(value) == 1); });
}
PyObject* get_grad(PyObject* self, void*) {
  return guarded([&]() -> PyObject* {
    const Tensor grad = tensor_of(self).grad();
    PyObject*& kept = reinterpret_cast<TensorObject*>(self)->grad;
    if (!grad.defined()) {
      Py_CLEAR(kept);
      Py_RETURN_NONE;
    }
    if (!kept || tensor_of(kept).impl() != grad.impl()) Py_XSETREF(kept, wrap(grad));
    return Py_XNewRef(kept);
  });
}
int set_grad(PyObject* self, PyObject* value, void*) {
  return guarded_set([&] {
    if (!value || value == Py_None) return tensor_of(self).set_grad({});
    if (!is_tensor(value)) {
      PyErr_Format(PyExc_TypeError, "assigned grad expected to be a Tensor or None but got %s",
                   Py_TYPE(value)->tp_name);
      throw PythonError{};
    }
    const Tensor &grad = tensor_of(value), &x = tensor_of(self);
    if (grad.shape() != x.shape()) {
      fail("assigned grad has data of a different size: ", grad.shape(), " for ", x.shape());
    }
    if (grad.dtype() != x.dtype()) {
      fail("assigned grad has data of a different type: ", grad.dtype(), " for ", x.dtype());
    }
    tensor_of(self).set_grad(grad);
    Py_XSETREF(reinterpret_cast<TensorObject*>(self)->grad, Py_NewRef(value));
  });
}
PyObject* get_is_leaf(PyObject* self, void*) {
  return guarded([&] { return PyBool_FromLong(tensor_of(self).is_leaf()); });
}
PyObject* get_version(PyObject* self, void*) {
  return guarded([&] { return PyLong_FromLongLong(tensor_of(self).version()); });
}
PyObject* get_data(PyObject* self, void*) {
  return guarded([&] { return wrap(tensor_of(self).detach()); });
}
int set_data(PyObject* self, PyObject* value, void*) {
  return guarded_set([&] {
    if (!value || !is_tensor(value)) {
      PyErr_SetString(PyExc_TypeError, "data: expected a Tensor");
      throw PythonError{};
    }
    Tensor& x = tensor_of(self);
    const bool requires_grad = x.requires_grad() && x.is_leaf();
    const Tensor grad = x.grad();
    x = tensor_of(value).detach();
    if (requires_grad) x.requires_grad_();
    if (grad.defined() && grad.shape() == x.shape()) x.set_grad(grad);
  });
}

Tensor reversed(const Tensor& x) {
  Dims order;
  Shape dims;
  for (int i = x.dim() - 1; i >= 0; --i) dims.push_back(i);
  return x.permute(dims);
}
PyObject* get_T(PyObject* self, void*) {
  return guarded([&] { return wrap(reversed(tensor_of(self))); });
}
PyObject* get_mT(PyObject* self, void*) {
  return guarded([&] {
    const Tensor& x = tensor_of(self);
    if (x.dim() < 2) fail("mT: needs 2 dimensions or more, not ", x.shape());
    return wrap(x.transpose(-2, -1));
  });
}

constexpr Method kConj("conj");
PyObject* conjugate(PyObject* transposed) {
  if (!transposed || !is_complex(tensor_of(transposed).dtype())) return transposed;
  PyObject* result = kConj(transposed, nullptr, 0);
  Py_DECREF(transposed);
  return result;
}
PyObject* get_mH(PyObject* self, void*) { return conjugate(get_mT(self, nullptr)); }
PyObject* get_H(PyObject* self, void*) {
  const int dims = tensor_of(self).dim();
  if (dims != 2 && dims != 0) {
    PyErr_Format(PyExc_RuntimeError,
                 "tensor.H is only supported on matrices (2-D tensors). Got "
                 "%d-D tensor.",
                 dims);
    return nullptr;
  }
  return conjugate(get_T(self, nullptr));
}
PyObject* get_name(PyObject*, void*) { Py_RETURN_NONE; }
PyObject* get_false(PyObject*, void*) { Py_RETURN_FALSE; }

PyGetSetDef getset[] = {
    {"shape", get_shape, nullptr, "The sizes, as a Size.", nullptr},
    {"dtype", get_dtype, nullptr, nullptr, nullptr},
    {"device", get_device, nullptr, nullptr, nullptr},
    {"ndim", get_ndim, nullptr, nullptr, nullptr},
    {"itemsize", get_itemsize, nullptr, "Bytes of an element.", nullptr},
    {"nbytes", get_nbytes, nullptr, "Bytes of all elements.", nullptr},
    {"requires_grad", get_requires_grad, set_requires_grad, nullptr, nullptr},
    {"grad", get_grad, set_grad, "The gradient that backward() accumulated, or None.", nullptr},
    {"is_leaf", get_is_leaf, nullptr, "Whether it is not the result of an op with history.",
     nullptr},
    {"_version", get_version, nullptr, "How often the elements were changed in place.", nullptr},
    {"data", get_data, set_data, "The same elements without history.", nullptr},
    {"T", get_T, nullptr, "A view with the dimensions reversed.", nullptr},
    {"mT", get_mT, nullptr, "A view with the last two dimensions swapped.", nullptr},
    {"H", get_H, nullptr, "The conjugate of a transposed matrix.", nullptr},
    {"mH", get_mH, nullptr, "The conjugate, with the last two dimensions swapped.", nullptr},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
    {"name", get_name, nullptr, nullptr, nullptr},
    {"is_sparse", get_false, nullptr, nullptr, nullptr},
    {"is_cuda", get_false, nullptr, nullptr, nullptr},
    {"is_quantized", get_false, nullptr, nullptr, nullptr},
    {"is_nested", get_false, nullptr, nullptr, nullptr},
    {"is_meta", get_false, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

}  // namespace

PyGetSetDef* tensor_attributes() { return getset; }

}  // namespace tallow::python
