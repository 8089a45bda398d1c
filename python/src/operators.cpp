// Tensor's operators: +, <, ~ and so on call the methods that they stand for.
#include "args.h"
#include "numbers.h"
#include "objects.h"
#include "slots.h"
#include "tallow/error.h"

namespace tallow::python {
namespace {

// What stands beside a tensor in an expression; others give NotImplemented, so that Python asks
// the other object.
bool is_operand(PyObject* o) { return is_tensor(o) || is_number(o); }

template <const Method& method>
PyObject* binary(PyObject* a, PyObject* b) {
  if (is_tensor(a)) {
    if (!is_operand(b)) Py_RETURN_NOTIMPLEMENTED;
    return method(a, &b, 1);
  }
  if (!is_operand(a)) Py_RETURN_NOTIMPLEMENTED;
  try {  // a number first: 2 - x
    PyObject* number = wrap(Tensor(to_scalar(a)));
    PyObject* result = method(number, &b, 1);
    Py_DECREF(number);
    return result;
  } catch (...) {
    set_error();
    return nullptr;
  }
}

template <const Method& method>
PyObject* unary(PyObject* a) {
  return method(a, nullptr, 0);
}

template <const Method& method>
PyObject* power(PyObject* a, PyObject* b, PyObject*) {
  return binary<method>(a, b);
}

constexpr Method kAdd("add"), kSub("sub"), kMul("mul"), kDiv("div"), kFloorDiv("floor_divide"),
    kMod("remainder"), kPow("pow"), kMatmul("matmul"), kAnd("bitwise_and"), kOr("bitwise_or"),
    kXor("bitwise_xor"), kLeft("bitwise_left_shift"), kRight("bitwise_right_shift"), kNeg("neg"),
    kAbs("abs"), kInvert("bitwise_not");
constexpr Method kAddTo("add_"), kSubTo("sub_"), kMulTo("mul_"), kDivTo("div_"),
    kFloorDivTo("floor_divide_"), kModTo("remainder_"), kPowTo("pow_"), kAndTo("bitwise_and_"),
    kOrTo("bitwise_or_"), kXorTo("bitwise_xor_"), kLeftTo("bitwise_left_shift_"),
    kRightTo("bitwise_right_shift_");
constexpr Method kComparisons[] = {Method("lt"), Method("le"), Method("eq"),
                                   Method("ne"), Method("gt"), Method("ge")};

PyObject* matmul(PyObject* a, PyObject* b) {
  if (!is_tensor(a) || !is_tensor(b)) Py_RETURN_NOTIMPLEMENTED;
  return kMatmul(a, &b, 1);
}

PyObject* divmod(PyObject* a, PyObject* b) {
  PyObject* quotient = binary<kFloorDiv>(a, b);
  if (!quotient || quotient == Py_NotImplemented) return quotient;
  PyObject* rest = binary<kMod>(a, b);
  return rest ? Py_BuildValue("(NN)", quotient, rest) : nullptr;
}

PyObject* positive(PyObject* a) { return Py_NewRef(a); }

PyObject* compare(PyObject* a, PyObject* b, int op) {
  if (!is_operand(b)) Py_RETURN_NOTIMPLEMENTED;
  return kComparisons[op](a, &b, 1);
}

// The only element, as a Python number; a new reference.
PyObject* only(PyObject* self, const char* what) {
  const Tensor& x = tensor_of(self);
  if (x.numel() != 1) {
    PyErr_Format(PyExc_RuntimeError,
                 x.numel() == 0 ? "Boolean value of Tensor with no values is ambiguous"
                                : "%s value of Tensor with more than one value is ambiguous",
                 what);
    throw PythonError{};
  }
  return item(x);
}

int is_true(PyObject* self) {
  try {
    PyObject* value = only(self, "Boolean");
    const int result = PyObject_IsTrue(value);
    Py_DECREF(value);
    return result;
  } catch (...) {
    set_error();
    return -1;
  }
}

template <PyObject* (*convert)(PyObject*)>
PyObject* number_of(PyObject* self) {
  try {
    const Tensor& x = tensor_of(self);
    if (x.numel() != 1) {
      PyErr_SetString(PyExc_ValueError,
                      "only one element tensors can be converted to Python scalars");
      return nullptr;
    }
    PyObject* value = item(x);
    PyObject* result = convert(value);
    Py_DECREF(value);
    return result;
  } catch (...) {
    set_error();
    return nullptr;
  }
}

PyObject* index_value(PyObject* self) {
  const Tensor& x = tensor_of(self);
  if (x.numel() != 1 || !is_integral(x.dtype())) {
    PyErr_SetString(PyExc_TypeError,
                    "only integer tensors of a single element can be converted to an index");
    return nullptr;
  }
  return number_of<PyNumber_Long>(self);
}

}  // namespace

void add_number_slots(std::vector<PyType_Slot>& slots) {
  slots.insert(slots.end(), {slot(Py_nb_add, binary<kAdd>),
                             slot(Py_nb_subtract, binary<kSub>),
                             slot(Py_nb_multiply, binary<kMul>),
                             slot(Py_nb_true_divide, binary<kDiv>),
                             slot(Py_nb_floor_divide, binary<kFloorDiv>),
                             slot(Py_nb_remainder, binary<kMod>),
                             slot(Py_nb_power, power<kPow>),
                             slot(Py_nb_divmod, divmod),
                             slot(Py_nb_matrix_multiply, matmul),
                             slot(Py_nb_and, binary<kAnd>),
                             slot(Py_nb_or, binary<kOr>),
                             slot(Py_nb_xor, binary<kXor>),
                             slot(Py_nb_lshift, binary<kLeft>),
                             slot(Py_nb_rshift, binary<kRight>),
                             slot(Py_nb_inplace_add, binary<kAddTo>),
                             slot(Py_nb_inplace_subtract, binary<kSubTo>),
                             slot(Py_nb_inplace_multiply, binary<kMulTo>),
                             slot(Py_nb_inplace_true_divide, binary<kDivTo>),
                             slot(Py_nb_inplace_floor_divide, binary<kFloorDivTo>),
                             slot(Py_nb_inplace_remainder, binary<kModTo>),
                             slot(Py_nb_inplace_power, power<kPowTo>),
                             slot(Py_nb_inplace_and, binary<kAndTo>),
                             slot(Py_nb_inplace_or, binary<kOrTo>),
                             slot(Py_nb_inplace_xor, binary<kXorTo>),
                             slot(Py_nb_inplace_lshift, binary<kLeftTo>),
                             slot(Py_nb_inplace_rshift, binary<kRightTo>),
                             slot(Py_nb_negative, unary<kNeg>),
                             slot(Py_nb_positive, positive),
                             slot(Py_nb_absolute, unary<kAbs>),
                             slot(Py_nb_invert, unary<kInvert>),
                             slot(Py_nb_bool, is_true),
                             slot(Py_nb_int, number_of<PyNumber_Long>),
                             slot(Py_nb_float, number_of<PyNumber_Float>),
                             slot(Py_nb_index, index_value),
                             slot(Py_tp_richcompare, compare),
                             slot(Py_tp_hash, _Py_HashPointer)});
}

}  // namespace tallow::python
