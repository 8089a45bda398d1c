// The module tallow._C: classes, operators, errors.
#include <Python.h>
#include <nanobind/nanobind.h>
#include <structmember.h>

#include <map>
#include <new>
#include <string>

#include "args.h"
#include "numbers.h"
#include "objects.h"
#include "tallow/error.h"

namespace tallow::python {

void add_operators(PyObject* module);           // generated
void add_data(PyObject* module);                // data.cpp
void add_autograd(PyObject* module);            // autograd.cpp
void add_dlpack(PyObject* module);              // dlpack.cpp
void add_print(PyObject* module);               // print.cpp
void add_settings(PyObject* module);            // settings.cpp
void add_generator(PyObject* module);           // generator.cpp
void add_language_models(PyObject* module);     // models.cpp
void add_converters(PyObject* module);          // convert.cpp
void add_hub(PyObject* module);                 // hub.cpp
void add_tokenizers(PyObject* module);          // tokenizer.cpp
void add_tokenizer_training(PyObject* module);  // tokenizer_training.cpp
void add_files(PyObject* module);               // files.cpp
void add_images(PyObject* module);              // images.cpp
void add_audio(PyObject* module);               // audio.cpp

namespace {

PyObject *error_type, *index_error_type;
std::map<std::string, PyTypeObject*, std::less<>>& tuple_types() {
  static std::map<std::string, PyTypeObject*, std::less<>> types;
  return types;
}
std::map<std::string, PyMethodDef*, std::less<>>& methods() {
  static std::map<std::string, PyMethodDef*, std::less<>> table;
  return table;
}

}  // namespace

void set_error() {
  try {
    throw;
  } catch (const PythonError&) {
  } catch (const IndexError& error) {
    PyErr_SetString(index_error_type, error.what());
  } catch (const Error& error) {
    PyErr_SetString(error_type, error.what());
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
}

PyObject* finish(WithoutGil& gil, Tensor&& result) {
  gil.end();
  return wrap(std::move(result));
}
PyObject* finish(WithoutGil& gil, Tensors&& result) {
  gil.end();
  PyObject* tuple = PyTuple_New(static_cast<Py_ssize_t>(result.size()));
  for (size_t i = 0; i < result.size(); ++i) {
    PyTuple_SET_ITEM(tuple, i, wrap(std::move(result[i])));
  }
  return tuple;
}
PyObject* finish(WithoutGil& gil, bool result) {
  gil.end();
  return PyBool_FromLong(result);
}
PyObject* finish(WithoutGil& gil, int64_t result) {
  gil.end();
  return PyLong_FromLongLong(result);
}
PyObject* finish(WithoutGil& gil, double result) {
  gil.end();
  return PyFloat_FromDouble(result);
}
PyObject* finish(WithoutGil& gil, DType result) {
  gil.end();
  return Py_NewRef(dtype_object(result));
}
PyObject* finish(WithoutGil& gil, const Scalar& result) {
  gil.end();
  return from_scalar(result);
}
PyObject* finish(WithoutGil& gil, const char* type, std::initializer_list<const Tensor*> fields) {
  gil.end();
  PyObject* tuple = PyStructSequence_New(tuple_types().find(type)->second);
  Py_ssize_t i = 0;
  for (const Tensor* field : fields) PyStructSequence_SetItem(tuple, i++, wrap(*field));
  return tuple;
}
PyObject* none(WithoutGil& gil) {
  gil.end();
  Py_RETURN_NONE;
}

void add_functions(PyObject* module, PyMethodDef* definitions) {
  if (PyModule_AddFunctions(module, definitions) < 0) throw PythonError{};
}

void add_submodule_functions(PyObject* module, const char* name, PyMethodDef* definitions) {
  const std::string path = std::string("_C.") + name;
  PyObject* submodule = PyObject_HasAttrString(module, name) ? PyObject_GetAttrString(module, name)
                                                             : PyModule_New(path.c_str());
  if (!submodule) throw PythonError{};
  PyModule_AddObjectRef(module, name, submodule);
  add_functions(submodule, definitions);
  Py_DECREF(submodule);
}

void add_methods(PyMethodDef* definitions) {
  for (PyMethodDef* method = definitions; method->ml_name; ++method) {
    PyObject* descriptor = PyDescr_NewMethod(tensor_type, method);
    if (!descriptor) throw PythonError{};
    PyObject_SetAttrString(reinterpret_cast<PyObject*>(tensor_type), method->ml_name, descriptor);
    Py_DECREF(descriptor);
    methods()[method->ml_name] = method;
  }
}

PyObject* Method::operator()(PyObject* self, PyObject* const* args, Py_ssize_t count) const {
  if (!definition_) {
    auto found = methods().find(name_);
    if (found == methods().end()) Py_RETURN_NOTIMPLEMENTED;
    definition_ = found->second;
  }
  auto* function = reinterpret_cast<_PyCFunctionFastWithKeywords>(
      reinterpret_cast<void (*)()>(definition_->ml_meth));
  return function(self, args, count, nullptr);
}

void add_named_tuples(PyObject* module, const NamedTuple* tuples) {
  for (; tuples->name; ++tuples) {
    static std::map<std::string, std::vector<std::string>> names;  // outlive the types
    std::vector<std::string>& fields = names[tuples->name];
    for (std::string_view rest = tuples->fields; !rest.empty();) {
      const size_t end = std::min(rest.find(' '), rest.size());
      fields.emplace_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    std::vector<PyStructSequence_Field> list;
    for (const std::string& field : fields) list.push_back({field.c_str(), nullptr});
    list.push_back({nullptr, nullptr});
    static std::map<std::string, std::string> paths;
    std::string& path = paths[tuples->name] = std::string("tallow.return_types.") + tuples->name;
    PyStructSequence_Desc description{path.c_str(), nullptr, list.data(),
                                      static_cast<int>(fields.size())};
    PyTypeObject* type = PyStructSequence_NewType(&description);
    if (!type) throw PythonError{};
    tuple_types()[tuples->name] = type;
    PyModule_AddObjectRef(module, tuples->name, reinterpret_cast<PyObject*>(type));
  }
}

namespace {

void fill(PyObject* module) {
  PyModule_AddStringConstant(module, "__version__", TALLOW_VERSION);
  error_type =
      PyErr_NewExceptionWithDoc("tallow.Error", "Whatever a user, a file or a device can cause.",
                                PyExc_RuntimeError, nullptr);
  PyModule_AddObjectRef(module, "Error", error_type);
  PyObject* bases = PyTuple_Pack(2, error_type, PyExc_IndexError);
  index_error_type = PyErr_NewExceptionWithDoc(
      "tallow.IndexError", "An index or a dimension out of range.", bases, nullptr);
  Py_DECREF(bases);
  PyModule_AddObjectRef(module, "IndexError", index_error_type);
  nanobind::register_exception_translator([](const std::exception_ptr& error, void*) {
    try {
      std::rethrow_exception(error);
    } catch (const Error& e) {
      PyErr_SetString(error_type, e.what());
    } catch (const PythonError&) {  // is set already
    }
  });
  add_objects(module);
  add_generator(module);
  add_operators(module);
  add_data(module);
  add_autograd(module);
  add_dlpack(module);
  add_print(module);
  add_settings(module);
  add_tokenizers(module);
  add_tokenizer_training(module);
  add_language_models(module);
  add_converters(module);
  add_hub(module);
  add_files(module);
  add_images(module);
  add_audio(module);
}

}  // namespace
}  // namespace tallow::python

NB_MODULE(_C, module) {
  try {
    tallow::python::fill(module.ptr());
  } catch (const tallow::python::PythonError&) {
    throw nanobind::python_error();
  }
}
