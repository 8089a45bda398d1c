// Default dtype, threads, and the rules of promotion.
#include "args.h"
#include "numbers.h"
#include "objects.h"
#include "ops/elements.h"
#include "tallow/buffer.h"
#include "tallow/error.h"
#include "tallow/parallel.h"

namespace tallow::python {
namespace {

DType checked_dtype(PyObject* o) {
  if (!is_dtype(o)) {
    PyErr_Format(PyExc_TypeError, "expected a dtype, not %s", Py_TYPE(o)->tp_name);
    throw PythonError{};
  }
  return dtype_of(o);
}

PyObject* get_default(PyObject*, PyObject*) { return Py_NewRef(dtype_object(default_dtype())); }
PyObject* set_default(PyObject*, PyObject* dtype) {
  return guarded([&] {
    set_default_dtype(checked_dtype(dtype));
    Py_RETURN_NONE;
  });
}
PyObject* get_threads(PyObject*, PyObject*) { return PyLong_FromLong(num_threads()); }
PyObject* set_threads(PyObject*, PyObject* count) {
  return guarded([&] {
    const int64_t n = to_integer(count);
    if (n < 1) fail("set_num_threads: ", n, " is not a positive number");
    set_num_threads(static_cast<int>(n));
    Py_RETURN_NONE;
  });
}
PyObject* get_memory(PyObject*, PyObject*) {
  return guarded([] { return PyLong_FromLongLong(weight_memory()); });
}
PyObject* set_memory(PyObject*, PyObject* bytes) {
  return guarded([&] {
    set_weight_memory(to_integer(bytes));
    Py_RETURN_NONE;
  });
}
PyObject* get_memory_in_use(PyObject*, PyObject*) {
  return PyLong_FromLongLong(weight_memory_in_use());
}

PyObject* promote_two(PyObject*, PyObject* args) {
  PyObject *a, *b;
  if (!PyArg_ParseTuple(args, "OO", &a, &b)) return nullptr;
  return guarded(
      [&] { return Py_NewRef(dtype_object(promote_types(checked_dtype(a), checked_dtype(b)))); });
}

Tensor operand(PyObject* o) {
  if (is_tensor(o)) return tensor_of(o);
  if (is_number(o)) return Tensor(to_scalar(o));
  PyErr_Format(PyExc_TypeError, "result_type: expected Tensors or numbers, not %s",
               Py_TYPE(o)->tp_name);
  throw PythonError{};
}

PyObject* result_type(PyObject*, PyObject* args) {
  PyObject *a, *b;
  if (!PyArg_ParseTuple(args, "OO", &a, &b)) return nullptr;
  return guarded(
      [&] { return Py_NewRef(dtype_object(promote(operand(a), operand(b), "result_type"))); });
}

PyObject* can_cast(PyObject*, PyObject* args) {
  PyObject *a, *b;
  if (!PyArg_ParseTuple(args, "OO", &a, &b)) return nullptr;
  return guarded([&] {
    const DType from = checked_dtype(a), to = checked_dtype(b);
    auto rank = [](DType d) {
      return is_complex(d) ? 3 : is_real(d) ? 2 : d == DType::boolean ? 0 : 1;
    };
    return PyBool_FromLong(rank(from) <= rank(to));
  });
}

PyMethodDef functions[] = {
    {"get_default_dtype", get_default, METH_NOARGS, "The dtype of numbers with a fraction."},
    {"set_default_dtype", set_default, METH_O, "Sets the dtype of numbers with a fraction."},
    {"get_num_threads", get_threads, METH_NOARGS, "The threads that kernels may use."},
    {"set_num_threads", set_threads, METH_O, "Sets the threads that kernels may use."},
    {"weight_memory", get_memory, METH_NOARGS,
     "The most bytes that weights' repacked forms may take together."},
    {"set_weight_memory", set_memory, METH_O,
     "Sets the bytes that weights' repacked forms may take together."},
    {"weight_memory_in_use", get_memory_in_use, METH_NOARGS,
     "The bytes that weights' repacked forms take now."},
    {"promote_types", promote_two, METH_VARARGS, "The dtype that holds values of both."},
    {"result_type", result_type, METH_VARARGS, "The dtype of arithmetic of two operands."},
    {"can_cast", can_cast, METH_VARARGS, "Whether promotion may turn one dtype into another."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

void add_settings(PyObject* module) { add_functions(module, functions); }

}  // namespace tallow::python
