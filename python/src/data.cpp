// Tensors of Python's data: nested lists, and memory that others own.
#include "data.h"

#include <algorithm>
#include <cstring>

#include "args.h"
#include "numbers.h"
#include "objects.h"
#include "tallow/error.h"

namespace tallow::python {
namespace {

// Numbers of nested sequences, gathered in the narrowest of bool, i64, f64 and c128 that holds
// them all.
class NestedData {
 public:
  explicit NestedData(PyObject* data) {
    measure(data, 0);
    kind_ = Scalar::Kind::boolean;
    if (numel() == 0) kind_ = Scalar::Kind::real;
    find_kind(data, 0);
  }

  DType natural() const {
    switch (kind_) {
      case Scalar::Kind::boolean: return DType::boolean;
      case Scalar::Kind::integer: return DType::i64;
      case Scalar::Kind::real: return default_dtype();
      case Scalar::Kind::complex: return to_complex(default_dtype());
    }
    return DType::f32;
  }

  Tensor make(PyObject* data, DType dtype) {
    constexpr DType kWide[] = {DType::boolean, DType::i64, DType::f64, DType::c128};
    Tensor wide = Tensor::empty(shape_, kWide[static_cast<int>(kind_)]);
    if (wide.numel() > 0) fill(data, 0, static_cast<char*>(wide.raw()));
    return wide.dtype() == dtype ? wide : wide.to(dtype);
  }

 private:
  int64_t numel() const { return shape_.numel(); }

  static bool is_leaf(PyObject* o) {
    if (is_tensor(o)) return tensor_of(o).dim() == 0;
    return is_number(o) || !PySequence_Check(o) || PyUnicode_Check(o);
  }

  void measure(PyObject* o, int depth) {
    if (is_leaf(o)) return;
    if (depth == Shape::kMaxDims) fail("tensor: the data nests deeper than ", Shape::kMaxDims);
    const Py_ssize_t size = PySequence_Size(o);
    if (size < 0) throw PythonError{};
    shape_.push_back(size);
    if (size == 0) return;
    PyObject* first = PySequence_GetItem(o, 0);
    if (!first) throw PythonError{};
    measure(first, depth + 1);
    Py_DECREF(first);
  }

  template <class F>
  void each(PyObject* o, int depth, F&& body) {
    PyObject* items = PySequence_Fast(o, "tensor: expected a sequence");
    if (!items) throw PythonError{};
    const Py_ssize_t size = PySequence_Fast_GET_SIZE(items);
    if (size != shape_[depth]) {
      Py_DECREF(items);
      PyErr_Format(PyExc_ValueError, "expected sequence of length %lld at dim %d (got %zd)",
                   static_cast<long long>(shape_[depth]), depth, size);
      throw PythonError{};
    }
    for (Py_ssize_t i = 0; i < size; ++i) body(PySequence_Fast_GET_ITEM(items, i));
    Py_DECREF(items);
  }

  void find_kind(PyObject* o, int depth) {
    if (depth == shape_.size()) {
      if (!is_leaf(o)) {
        PyErr_Format(PyExc_ValueError, "tensor: expected a number at depth %d, not %s", depth,
                     Py_TYPE(o)->tp_name);
        throw PythonError{};
      }
      kind_ = std::max(kind_, leaf_kind(o));
      return;
    }
    if (is_leaf(o)) {
      PyErr_Format(PyExc_TypeError, "tensor: expected a sequence at depth %d, not %s", depth,
                   Py_TYPE(o)->tp_name);
      throw PythonError{};
    }
    each(o, depth, [&](PyObject* inner) { find_kind(inner, depth + 1); });
  }

  static Scalar::Kind leaf_kind(PyObject* o) {
    if (PyBool_Check(o)) return Scalar::Kind::boolean;
    if (PyLong_Check(o)) return Scalar::Kind::integer;
    if (PyFloat_Check(o)) return Scalar::Kind::real;
    if (PyComplex_Check(o)) return Scalar::Kind::complex;
    if (!is_tensor(o) && !is_number(o)) {
      PyErr_Format(PyExc_TypeError, "new(): invalid data type '%s'", Py_TYPE(o)->tp_name);
      throw PythonError{};
    }
    return to_scalar(o).kind();
  }

  char* fill(PyObject* o, int depth, char* to) {
    if (depth < shape_.size()) {
      each(o, depth, [&](PyObject* inner) { to = fill(inner, depth + 1, to); });
      return to;
    }
    auto put = [&](auto value) {
      std::memcpy(to, &value, sizeof value);
      return to + sizeof value;
    };
    if (kind_ == Scalar::Kind::real) return put(to_real(o));
    const Scalar scalar = to_scalar(o);
    if (kind_ == Scalar::Kind::boolean) return put(static_cast<uint8_t>(scalar.integer() != 0));
    if (kind_ == Scalar::Kind::integer) return put(scalar.integer());
    return put(scalar.complex());
  }

  Shape shape_;
  Scalar::Kind kind_ = Scalar::Kind::boolean;
};

PyObject* from_nested(PyObject*, PyObject* args) {
  PyObject *data = nullptr, *dtype = nullptr;
  if (!PyArg_ParseTuple(args, "O|O", &data, &dtype)) return nullptr;
  try {
    const bool given = dtype && dtype != Py_None;
    return wrap(nested_tensor(data, given ? std::optional(dtype_of(dtype)) : std::nullopt));
  } catch (...) {
    set_error();
    return nullptr;
  }
}

Shape shape_of(PyObject* sequence) {
  Shape shape;
  PyObject* items = PySequence_Fast(sequence, "expected a sequence of integers");
  if (!items) throw PythonError{};
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items); ++i) {
    shape.push_back(to_integer(PySequence_Fast_GET_ITEM(items, i)));
  }
  Py_DECREF(items);
  return shape;
}

// from_memory(address, shape, strides in bytes, dtype, owner)
PyObject* from_memory(PyObject*, PyObject* args) {
  unsigned long long address = 0;
  PyObject *sizes = nullptr, *steps = nullptr, *dtype = nullptr, *owner = nullptr;
  if (!PyArg_ParseTuple(args, "KOOOO", &address, &sizes, &steps, &dtype, &owner)) return nullptr;
  try {
    const DType type = dtype_of(dtype);
    const int bytes = info(type).bytes;
    const Shape shape = shape_of(sizes);
    Shape strides = shape_of(steps);
    int64_t last = 0;
    for (int i = 0; i < shape.size(); ++i) {
      if (strides[i] < 0 || strides[i] % bytes != 0) {
        PyErr_SetString(PyExc_ValueError,
                        "from_numpy: strides that are negative or no multiple of the element's "
                        "size are not supported: copy the array first");
        throw PythonError{};
      }
      last += (shape[i] - 1) * strides[i];
      strides[i] /= bytes;
    }
    const int64_t size = shape.numel() == 0 ? 0 : last + bytes;
    auto buffer = Buffer::wrap(reinterpret_cast<void*>(address), size, owner_of(owner),
                               Buffer::Kind::borrowed);
    return wrap(Tensor(std::move(buffer), 0, shape, strides, type));
  } catch (...) {
    set_error();
    return nullptr;
  }
}

// A capsule that holds the tensor's buffer.
PyObject* hold_memory(PyObject*, PyObject* object) {
  if (!is_tensor(object)) {
    PyErr_SetString(PyExc_TypeError, "expected a Tensor");
    return nullptr;
  }
  auto* held = new std::shared_ptr<Buffer>(tensor_of(object).buffer());
  return PyCapsule_New(held, "tallow.buffer", [](PyObject* capsule) {
    delete static_cast<std::shared_ptr<Buffer>*>(PyCapsule_GetPointer(capsule, "tallow.buffer"));
  });
}

// The elements in row-major order, as bytes.
PyObject* to_bytes(PyObject*, PyObject* object) {
  try {
    const Tensor x = checked_tensor(object).detach().contiguous();
    return PyBytes_FromStringAndSize(x.nbytes() ? static_cast<const char*>(x.raw()) : nullptr,
                                     x.nbytes());
  } catch (...) {
    set_error();
    return nullptr;
  }
}
PyObject* from_bytes(PyObject*, PyObject* args) {
  PyObject *bytes, *sizes, *dtype;
  if (!PyArg_ParseTuple(args, "SOO", &bytes, &sizes, &dtype)) return nullptr;
  try {
    if (!is_dtype(dtype)) fail("tensor: expected a dtype");
    Tensor x = Tensor::empty(shape_of(sizes), dtype_of(dtype));
    if (x.nbytes() != PyBytes_GET_SIZE(bytes)) fail("tensor: the data has another size");
    if (x.nbytes() > 0) std::memcpy(x.raw(), PyBytes_AS_STRING(bytes), x.nbytes());
    return wrap(std::move(x));
  } catch (...) {
    set_error();
    return nullptr;
  }
}
// The same tensor as an instance of a subclass of Tensor.
PyObject* as_subclass(PyObject*, PyObject* args) {
  PyObject *self, *type;
  if (!PyArg_ParseTuple(args, "OO!", &self, &PyType_Type, &type)) return nullptr;
  auto* to = reinterpret_cast<PyTypeObject*>(type);
  if (!is_tensor(self) || !PyType_IsSubtype(to, tensor_type)) {
    PyErr_Format(PyExc_TypeError,
                 "as_subclass: expected a Tensor and a subclass of it, not %s and %s",
                 Py_TYPE(self)->tp_name, to->tp_name);
    return nullptr;
  }
  return wrap_as(to, tensor_of(self));
}

PyMethodDef functions[] = {{"_to_bytes", to_bytes, METH_O, nullptr},
                           {"_from_bytes", from_bytes, METH_VARARGS, nullptr},
                           {"_as_subclass", as_subclass, METH_VARARGS, nullptr},
                           {"_from_nested", from_nested, METH_VARARGS, nullptr},
                           {"_from_memory", from_memory, METH_VARARGS, nullptr},
                           {"_hold_memory", hold_memory, METH_O, nullptr},
                           {nullptr, nullptr, 0, nullptr}};

}  // namespace

std::shared_ptr<void> owner_of(PyObject* object) {
  return {Py_NewRef(object), [](void* held) {
            if (!Py_IsInitialized()) return;
            PyGILState_STATE state = PyGILState_Ensure();
            Py_DECREF(static_cast<PyObject*>(held));
            PyGILState_Release(state);
          }};
}

Tensor nested_tensor(PyObject* data, std::optional<DType> dtype) {
  NestedData nested(data);
  return nested.make(data, dtype.value_or(nested.natural()));
}

void add_data(PyObject* module) { add_functions(module, functions); }

}  // namespace tallow::python
