// repr, and its options.
#include "tallow/print.h"

#include "args.h"
#include "numbers.h"
#include "objects.h"

namespace tallow::python {
namespace {

PyObject* repr_of(PyObject*, PyObject* self) {
  try {
    std::string name = "tensor";
    if (Py_TYPE(self) != tensor_type) name = Py_TYPE(self)->tp_name;
    const std::string text = repr(checked_tensor(self), print_options(), name);
    return PyUnicode_FromStringAndSize(text.data(), static_cast<Py_ssize_t>(text.size()));
  } catch (...) {
    set_error();
    return nullptr;
  }
}

PyObject* get_options(PyObject*, PyObject*) {
  const PrintOptions o = print_options();
  PyObject* scientific = o.scientific ? PyBool_FromLong(*o.scientific) : Py_NewRef(Py_None);
  return Py_BuildValue("(iLiiN)", o.precision, static_cast<long long>(o.threshold), o.edge_items,
                       o.line_width, scientific);
}

PyObject* set_options(PyObject*, PyObject* args) {
  PrintOptions o;
  long long threshold = 0;
  PyObject* scientific = nullptr;
  if (!PyArg_ParseTuple(args, "iLiiO", &o.precision, &threshold, &o.edge_items, &o.line_width,
                        &scientific)) {
    return nullptr;
  }
  o.threshold = threshold;
  if (scientific != Py_None) o.scientific = PyObject_IsTrue(scientific) == 1;
  set_print_options(o);
  Py_RETURN_NONE;
}

PyMethodDef functions[] = {{"_repr", repr_of, METH_O, nullptr},
                           {"_get_print_options", get_options, METH_NOARGS, nullptr},
                           {"_set_print_options", set_options, METH_VARARGS, nullptr},
                           {nullptr, nullptr, 0, nullptr}};

}  // namespace

void add_print(PyObject* module) { add_functions(module, functions); }

}  // namespace tallow::python
