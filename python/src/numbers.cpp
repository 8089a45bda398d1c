// Python's numbers, NumPy's scalars and tensors of one element, as C++ numbers.
#include "numbers.h"

#include <algorithm>
#include <cstring>

#include "args.h"
#include "objects.h"
#include "tallow/autograd.h"
#include "tallow/error.h"

namespace tallow::python {
namespace {

bool is_of_numpy(PyObject* object) {
  return std::strncmp(Py_TYPE(object)->tp_name, "numpy.", 6) == 0 &&
         std::strcmp(Py_TYPE(object)->tp_name, "numpy.ndarray") != 0;
}

// The NumPy scalar or tensor as one of Python's numbers; a new reference.
PyObject* plain_number(PyObject* object) {
  if (is_tensor(object)) return item(tensor_of(object));
  PyObject* number = PyObject_CallMethod(object, "item", nullptr);
  if (!number) throw PythonError{};
  return number;
}

template <class T>
T load(const void* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

}  // namespace

bool is_numpy_bool(PyObject* object) {
  const char* name = Py_TYPE(object)->tp_name;
  return std::strcmp(name, "numpy.bool") == 0 || std::strcmp(name, "numpy.bool_") == 0;
}

bool is_numpy_number(PyObject* object) {
  return is_of_numpy(object) && !is_numpy_bool(object) && PyNumber_Check(object);
}

bool is_one_element(PyObject* object) {
  return is_tensor(object) && tensor_of(object).defined() && tensor_of(object).numel() == 1 &&
         tensor_of(object).dim() == 0 && !tensor_of(object).requires_grad();
}

bool is_number(PyObject* o) {
  return PyLong_Check(o) || PyFloat_Check(o) || PyComplex_Check(o) || is_numpy_bool(o) ||
         is_numpy_number(o);
}

bool is_real(PyObject* o) {
  return PyFloat_Check(o) || PyLong_Check(o) || (is_numpy_number(o) && !PyComplex_Check(o));
}

Scalar to_scalar(PyObject* o) {
  if (PyBool_Check(o)) return o == Py_True;
  if (PyLong_Check(o)) return to_integer(o);
  if (PyFloat_Check(o)) return PyFloat_AS_DOUBLE(o);
  if (PyComplex_Check(o)) {
    return std::complex<double>(PyComplex_RealAsDouble(o), PyComplex_ImagAsDouble(o));
  }
  PyObject* number = plain_number(o);
  if (!PyLong_Check(number) && !PyFloat_Check(number) && !PyComplex_Check(number)) {
    Py_DECREF(number);
    PyErr_Format(PyExc_TypeError, "expected a number, not %s", Py_TYPE(o)->tp_name);
    throw PythonError{};
  }
  const Scalar scalar = to_scalar(number);
  Py_DECREF(number);
  return scalar;
}

int64_t to_integer(PyObject* o) {
  if (!PyLong_Check(o)) {
    const Scalar scalar = to_scalar(o);
    if (!scalar.is_integer()) {
      PyErr_Format(PyExc_TypeError, "expected an integer, not %s", to_string(scalar).c_str());
      throw PythonError{};
    }
    return scalar.integer();
  }
  int overflow = 0;
  const int64_t value = PyLong_AsLongLongAndOverflow(o, &overflow);
  if (overflow > 0) {
    // u64 numbers keep their bits.
    const uint64_t bits = PyLong_AsUnsignedLongLong(o);
    if (!PyErr_Occurred()) return static_cast<int64_t>(bits);
  }
  if (overflow < 0) PyErr_SetString(PyExc_OverflowError, "integer does not fit in 64 bits");
  if (PyErr_Occurred()) throw PythonError{};
  return value;
}

double to_real(PyObject* o) {
  if (PyFloat_Check(o)) return PyFloat_AS_DOUBLE(o);
  if (PyLong_Check(o)) {
    const double value = PyLong_AsDouble(o);
    if (value == -1 && PyErr_Occurred()) throw PythonError{};
    return value;
  }
  return to_scalar(o).real();
}

PyObject* from_scalar(const Scalar& scalar) {
  switch (scalar.kind()) {
    case Scalar::Kind::boolean: return PyBool_FromLong(scalar.integer() != 0);
    case Scalar::Kind::integer: return PyLong_FromLongLong(scalar.integer());
    case Scalar::Kind::real: return PyFloat_FromDouble(scalar.real());
    case Scalar::Kind::complex: return PyComplex_FromDoubles(scalar.real(), scalar.imag());
  }
  return nullptr;
}

PyObject* element(const void* at, DType dtype) {
  switch (dtype) {
    case DType::f64: return PyFloat_FromDouble(load<double>(at));
    case DType::f32: return PyFloat_FromDouble(load<float>(at));
    case DType::i8: return PyLong_FromLong(load<int8_t>(at));
    case DType::i16: return PyLong_FromLong(load<int16_t>(at));
    case DType::i32: return PyLong_FromLong(load<int32_t>(at));
    case DType::i64: return PyLong_FromLongLong(load<int64_t>(at));
    case DType::u8: return PyLong_FromLong(load<uint8_t>(at));
    case DType::u16: return PyLong_FromLong(load<uint16_t>(at));
    case DType::u32: return PyLong_FromUnsignedLong(load<uint32_t>(at));
    case DType::u64: return PyLong_FromUnsignedLongLong(load<uint64_t>(at));
    case DType::boolean: return PyBool_FromLong(load<uint8_t>(at));
    case DType::c64:
      return PyComplex_FromDoubles(load<float>(at), load<float>(static_cast<const char*>(at) + 4));
    case DType::c128:
      return PyComplex_FromDoubles(load<double>(at),
                                   load<double>(static_cast<const char*>(at) + 8));
    default: break;
  }
  if (!info(dtype).to_f32 || is_block(dtype)) fail("item: ", dtype, " has no single elements");
  float value;
  info(dtype).to_f32(at, &value, 1);
  return PyFloat_FromDouble(value);
}

PyObject* item(const Tensor& tensor) {
  if (tensor.numel() != 1) {
    fail("item: a Tensor with ", tensor.numel(), " elements cannot be converted to Scalar");
  }
  return element(tensor.raw(), tensor.dtype());
}

namespace {

int rank(DType dtype) {
  if (is_complex(dtype)) return 3;
  if (is_real(dtype)) return 2;
  return dtype == DType::boolean ? 0 : 1;
}

// The functions whose results are written as they are made, and those that do not convert.
constexpr const char* kWrittenAtOnce[] = {"cat",  "concat",        "concatenate", "gather",
                                          "take", "masked_select", "kthvalue",    "index_select"};
constexpr const char* kExact[] = {"complex", "gather", "aminmax"};

template <size_t n>
bool named(const char* function, const char* const (&names)[n]) {
  return std::any_of(names, names + n, [&](const char* s) { return !std::strcmp(function, s); });
}

// From the first byte of the elements to past the last one.
std::pair<const std::byte*, const std::byte*> extent(const Tensor& x) {
  int64_t last = x.numel() == 0 ? -1 : 0;
  for (int i = 0; i < x.dim(); ++i) last += std::max<int64_t>(0, x.shape()[i] - 1) * x.strides()[i];
  const auto* begin = static_cast<const std::byte*>(x.raw());
  return {begin, begin + (last + 1) * info(x.dtype()).bytes};
}

bool is_expanded(const Tensor& x) {
  for (int i = 0; i < x.dim(); ++i) {
    if (x.shape()[i] > 1 && x.strides()[i] == 0) return true;
  }
  return false;
}

void check_apart_from(const char* function, PyObject* argument, const Tensor& out) {
  if (!argument) return;
  if (is_tensor(argument) && tensor_of(argument).numel() > 0 && out.numel() > 0) {
    const auto [begin, end] = extent(tensor_of(argument));
    const auto [first, last] = extent(out);
    if (begin < last && first < end) {
      fail(function, ": unsupported operation: out ", out,
           " shows the memory of an argument, so that the written-to tensor and another refer to "
           "a single memory location; give one of its own");
    }
  }
  if (!PyTuple_Check(argument) && !PyList_Check(argument)) return;
  PyObject** items = PySequence_Fast_ITEMS(argument);
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(argument); ++i) {
    if (is_tensor(items[i])) check_apart_from(function, items[i], out);
  }
}

// A tensor of another size becomes one of the result's, as torch's out= does.
void store_tensor(const char* function, const Tensor& result, PyObject* out) {
  if (!is_tensor(out)) {
    PyErr_Format(PyExc_TypeError, "out: expected a Tensor, not %s", Py_TYPE(out)->tp_name);
    throw PythonError{};
  }
  Tensor& to = tensor_of(out);
  if (grad_enabled() && (to.requires_grad() || result.requires_grad())) {
    fail("out: a result that is written into a tensor has no gradient; use no_grad, or no out");
  }
  if (rank(result.dtype()) > rank(to.dtype())) {
    fail("out: the result is ", result.dtype(), ", which does not convert to ", to.dtype());
  }
  if (result.dtype() != to.dtype() && named(function, kExact)) {
    fail(function, ": out is ", to, "; it must be of the result's dtype, ", result.dtype());
  }
  if (to.shape() != result.shape()) {
    to = result.to(to.dtype()).clone();
    return;
  }
  Tensor value = result.buffer() == to.buffer() ? result.clone() : result;
  in_place(to, "out", std::move(value));
}

}  // namespace

void check_apart(const char* function, PyObject* const* arguments, int count, PyObject* out) {
  if (PyTuple_Check(out) || PyList_Check(out)) {
    PyObject** items = PySequence_Fast_ITEMS(out);
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(out); ++i) {
      check_apart(function, arguments, count, items[i]);
    }
  }
  if (!is_tensor(out)) return;
  if (is_expanded(tensor_of(out))) {
    fail(function, ": unsupported operation: elements of out, ", tensor_of(out),
         ", share memory, so that more than one element of the written-to tensor refers to a "
         "single memory location; clone it first");
  }
  if (!named(function, kWrittenAtOnce)) return;
  for (int i = 0; i < count; ++i) check_apart_from(function, arguments[i], tensor_of(out));
}

PyObject* store(const char* function, PyObject* result, PyObject* out) {
  if (is_tensor(result)) {
    const Tensor value = tensor_of(result);
    Py_DECREF(result);
    store_tensor(function, value, out);
    return Py_NewRef(out);
  }
  PyObject* list = PySequence_Tuple(out);
  if (!list) throw PythonError{};
  const Py_ssize_t count = PyTuple_GET_SIZE(list);
  if (!PyTuple_Check(result) || count != PyTuple_GET_SIZE(result)) {
    Py_DECREF(list);
    fail("out: as many tensors are needed as there are results");
  }
  for (Py_ssize_t i = 0; i < count; ++i) {
    store_tensor(function, tensor_of(PyTuple_GET_ITEM(result, i)), PyTuple_GET_ITEM(list, i));
  }
  Py_DECREF(list);
  Py_DECREF(result);
  return Py_NewRef(out);
}

}  // namespace tallow::python
