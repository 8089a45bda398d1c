// How Python calls the operators: a table of signatures, one parser, and a line of glue per
// overload, which python/generate.py writes from the headers. No templates, so that hundreds of
// functions compile in seconds and a call costs little more than the op.
#pragma once

#include <Python.h>

#include <optional>
#include <string_view>

#include "tallow/ops.h"
#include "tallow/reals.h"

namespace tallow::python {

/// A Python error is set; unwinds to the call that returns null.
struct PythonError {};

enum class Kind : uint8_t {
  tensor,   // a Tensor
  operand,  // a Tensor, or a number that stands for one
  tensors,
  optional_tensors,  // with None among them
  scalar,
  integer,
  real,
  boolean,
  string,
  dims,
  padding,
  shape,
  reals,
  dtype,
  device,
  generator,
};

struct Parameter {
  const char* name;
  Kind kind;
  bool required;
};

class Args;
struct Overload {
  const char* signature;
  const Parameter* parameters;
  int count;
  int varargs;  // the parameter that takes all remaining numbers, as in zeros(2, 3), or -1
  PyObject* (*call)(const Args&);
};

struct Function {
  const char* name;
  const Overload* overloads;
  int count;
};

/// The arguments of one call, in the order of the overload's parameters. Absent ones and None are
/// null.
class Args {
 public:
  static constexpr int kMax = 24;

  bool has(int i) const { return slots_[i] != nullptr; }
  Tensor tensor(int i) const;
  Tensors tensors(int i) const;
  Scalar scalar(int i) const;
  Scalar scalar(int i, const Scalar& otherwise) const { return has(i) ? scalar(i) : otherwise; }
  int64_t integer(int i) const;
  int64_t integer(int i, int64_t otherwise) const { return has(i) ? integer(i) : otherwise; }
  double real(int i) const;
  double real(int i, double otherwise) const { return has(i) ? real(i) : otherwise; }
  bool boolean(int i) const;
  bool boolean(int i, bool otherwise) const { return has(i) ? boolean(i) : otherwise; }
  std::string_view string(int i, std::string_view otherwise = "") const;
  Dims dims(int i) const;
  Dims dims(int i, const Dims& otherwise) const { return has(i) ? dims(i) : otherwise; }
  Padding padding(int i) const;
  Padding padding(int i, const Padding& otherwise) const { return has(i) ? padding(i) : otherwise; }
  Shape shape(int i) const;
  Shape shape(int i, const Shape& otherwise) const { return has(i) ? shape(i) : otherwise; }
  Reals reals(int i) const;
  Reals reals(int i, const Reals& otherwise) const { return has(i) ? reals(i) : otherwise; }
  DType dtype(int i) const;
  DType dtype(int i, DType otherwise) const { return has(i) ? dtype(i) : otherwise; }
  Device device(int i) const;

  std::optional<int64_t> maybe_integer(int i) const;
  std::optional<double> maybe_real(int i) const;
  std::optional<bool> maybe_boolean(int i) const;
  std::optional<Scalar> maybe_scalar(int i) const;
  std::optional<DType> maybe_dtype(int i) const;
  std::optional<Device> maybe_device(int i) const;
  std::optional<Generator> maybe_generator(int i) const;

 private:
  friend class Parser;
  PyObject* slots_[kMax];
  // The numbers of a parameter with varargs.
  PyObject* const* rest_ = nullptr;
  Py_ssize_t rest_count_ = 0;
  int rest_slot_ = -1;
  PyObject* out_ = nullptr;
  PyObject* requires_grad_ = nullptr;
};

/// Releases the interpreter while an op runs.
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  ~WithoutGil() { end(); }
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;
  void end() {
    if (state_) PyEval_RestoreThread(state_);
    state_ = nullptr;
  }

 private:
  PyThreadState* state_;
};

/// Results as Python objects, with the interpreter taken back.
PyObject* finish(WithoutGil& gil, Tensor&& result);
PyObject* finish(WithoutGil& gil, Tensors&& result);
PyObject* finish(WithoutGil& gil, bool result);
PyObject* finish(WithoutGil& gil, int64_t result);
PyObject* finish(WithoutGil& gil, double result);
PyObject* finish(WithoutGil& gil, DType result);
PyObject* finish(WithoutGil& gil, const Scalar& result);
/// A named tuple, of the type that the struct's name has.
PyObject* finish(WithoutGil& gil, const char* type, std::initializer_list<const Tensor*> fields);
PyObject* none(WithoutGil& gil);

/// Calls the first overload that takes the arguments. `self` goes first where it is not null.
PyObject* call(const Function& function, PyObject* self, PyObject* const* args, Py_ssize_t count,
               PyObject* names);

/// As call, and then writes the result into `self` as the method `op` does.
PyObject* call_in_place(const Function& function, const char* op, PyObject* self,
                        PyObject* const* args, Py_ssize_t count, PyObject* names);

/// Calls the method `name` of Tensor with one argument; NotImplemented where there is no such
/// method.
class Method {
 public:
  explicit constexpr Method(const char* name) : name_(name) {}
  PyObject* operator()(PyObject* self, PyObject* const* args, Py_ssize_t count) const;

 private:
  const char* name_;
  mutable PyMethodDef* definition_ = nullptr;
};

/// Sets the Python error that stands for the exception in flight. For use in `catch (...)`.
void set_error();
/// Runs a function for Python, its C++ exceptions turned into Python's: null, or -1.
template <class F>
PyObject* guarded(F&& body) {
  try {
    return body();
  } catch (...) {
    set_error();
    return nullptr;
  }
}
template <class F>
int guarded_set(F&& body) {
  try {
    body();
    return 0;
  } catch (...) {
    set_error();
    return -1;
  }
}

template <class F>
PyCFunction cast(F* function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

/// The functions and methods of a family, added to module and to the class Tensor.
void add_functions(PyObject* module, PyMethodDef* definitions);
void add_submodule_functions(PyObject* module, const char* name, PyMethodDef* definitions);
void add_methods(PyMethodDef* definitions);
struct NamedTuple {
  const char* name;
  const char* fields;  // separated by spaces
};
void add_named_tuples(PyObject* module, const NamedTuple* tuples);

}  // namespace tallow::python
