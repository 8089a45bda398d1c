// Methods of the Python class Tensor that are no operators.
#include "args.h"
#include "numbers.h"
#include "objects.h"
#include "slots.h"
#include "tallow/autograd.h"
#include "tallow/error.h"
#include "tallow/shared_memory.h"

namespace tallow::python {
namespace {

PyObject* tensor_item(PyObject* self, PyObject*) {
  return guarded([&] { return item(tensor_of(self)); });
}

PyObject* nested_list(const char* at, const Tensor& x, int dim) {
  if (dim == x.dim()) return element(at, x.dtype());
  const int64_t size = x.shape()[dim];
  const int64_t step = x.strides()[dim] * info(x.dtype()).bytes;
  PyObject* list = PyList_New(size);
  if (!list) throw PythonError{};
  for (int64_t i = 0; i < size; ++i) {
    PyList_SET_ITEM(list, i, nested_list(at + i * step, x, dim + 1));
  }
  return list;
}

PyObject* tensor_tolist(PyObject* self, PyObject*) {
  return guarded([&] {
    const Tensor& x = tensor_of(self);
    if (is_block(x.dtype())) fail("tolist: ", x.dtype(), " has no single elements: call .float()");
    return nested_list(x.numel() ? static_cast<const char*>(x.raw()) : nullptr, x, 0);
  });
}

PyObject* sizes(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names,
                const Shape& all, PyObject* (*whole)(const Shape&)) {
  PyObject* dim = count > 0 ? args[0] : nullptr;
  if (!dim && names && PyTuple_GET_SIZE(names) == 1) dim = args[count];
  if (!dim || dim == Py_None) return whole(all);
  return guarded([&] {
    const int64_t at = to_integer(dim);
    const int64_t dims = std::max(tensor_of(self).dim(), 1);
    if (at < -dims || at >= dims || all.empty()) {
      PyErr_Format(PyExc_IndexError,
                   "Dimension out of range (expected to be in range of [%lld, "
                   "%lld], but got %lld)",
                   static_cast<long long>(-dims), static_cast<long long>(dims - 1),
                   static_cast<long long>(at));
      throw PythonError{};
    }
    return PyLong_FromLongLong(all[static_cast<int>(at < 0 ? at + dims : at)]);
  });
}
PyObject* plain_tuple(const Shape& shape) {
  PyObject* tuple = PyTuple_New(shape.size());
  for (int i = 0; i < shape.size(); ++i) {
    PyTuple_SET_ITEM(tuple, i, PyLong_FromLongLong(shape[i]));
  }
  return tuple;
}
PyObject* tensor_size(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  return sizes(self, args, count, names, tensor_of(self).shape(), size_object);
}
PyObject* tensor_stride(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  return sizes(self, args, count, names, tensor_of(self).strides(), plain_tuple);
}
PyObject* tensor_dim(PyObject* self, PyObject*) { return PyLong_FromLong(tensor_of(self).dim()); }
PyObject* tensor_numel(PyObject* self, PyObject*) {
  return PyLong_FromLongLong(tensor_of(self).numel());
}
PyObject* tensor_is_contiguous(PyObject* self, PyObject* const*, Py_ssize_t, PyObject*) {
  return PyBool_FromLong(tensor_of(self).is_contiguous());
}
PyObject* tensor_data_ptr(PyObject* self, PyObject*) {
  const Tensor& x = tensor_of(self);
  note_shared(x.buffer());  // whoever asks may write there
  return PyLong_FromVoidPtr(x.numel() ? x.raw() : nullptr);
}
PyObject* tensor_storage_offset(PyObject* self, PyObject*) {
  const Tensor& x = tensor_of(self);
  return PyLong_FromLongLong(x.offset() / info(x.dtype()).bytes);
}
PyObject* tensor_element_size(PyObject* self, PyObject*) {
  return PyLong_FromLong(info(tensor_of(self).dtype()).bytes);
}
PyObject* tensor_is_floating_point(PyObject* self, PyObject*) {
  return PyBool_FromLong(is_real(tensor_of(self).dtype()));
}
PyObject* tensor_is_complex(PyObject* self, PyObject*) {
  return PyBool_FromLong(is_complex(tensor_of(self).dtype()));
}
PyObject* tensor_requires_grad_(PyObject* self, PyObject* const* args, Py_ssize_t count,
                                PyObject* names) {
  return guarded([&] {
    const bool given = count > 0 || (names && PyTuple_GET_SIZE(names) > 0);
    tensor_of(self).requires_grad_(!given || PyObject_IsTrue(args[0]) == 1);
    return Py_NewRef(self);
  });
}

}  // namespace

PyMethodDef tensor_methods[] = {
    {"item", tensor_item, METH_NOARGS, "The only element, as a Python number."},
    {"tolist", tensor_tolist, METH_NOARGS, "The elements, as nested lists."},
    {"size", cast(tensor_size), METH_FASTCALL | METH_KEYWORDS, "size(dim=None)"},
    {"stride", cast(tensor_stride), METH_FASTCALL | METH_KEYWORDS, "stride(dim=None)"},
    {"dim", tensor_dim, METH_NOARGS, nullptr},
    {"ndimension", tensor_dim, METH_NOARGS, nullptr},
    {"numel", tensor_numel, METH_NOARGS, nullptr},
    {"nelement", tensor_numel, METH_NOARGS, nullptr},
    {"is_contiguous", cast(tensor_is_contiguous), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {"data_ptr", tensor_data_ptr, METH_NOARGS, nullptr},
    {"storage_offset", tensor_storage_offset, METH_NOARGS, nullptr},
    {"element_size", tensor_element_size, METH_NOARGS, nullptr},
    {"is_floating_point", tensor_is_floating_point, METH_NOARGS, nullptr},
    {"is_complex", tensor_is_complex, METH_NOARGS, nullptr},
    {"requires_grad_", cast(tensor_requires_grad_), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace tallow::python
