// The parser of arguments: overloads in header order, as PyTorch's argument parser resolves them.
#include "args.h"

#include <cmath>
#include <cstring>

#include "numbers.h"
#include "objects.h"
#include "tallow/autograd.h"

namespace tallow::python {
namespace {

bool is_sequence(PyObject* o) { return PyTuple_Check(o) || PyList_Check(o); }

bool is_integers(PyObject* o) {
  if (!is_sequence(o)) return false;
  PyObject** items = PySequence_Fast_ITEMS(o);
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(o); ++i) {
    if (!is_integer(items[i])) return false;
  }
  return true;
}

bool is_reals(PyObject* o) {
  if (!is_sequence(o)) return false;
  PyObject** items = PySequence_Fast_ITEMS(o);
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(o); ++i) {
    if (!is_real(items[i])) return false;
  }
  return true;
}

bool is_tensors(PyObject* o, bool none_too) {
  if (!is_sequence(o)) return false;
  PyObject** items = PySequence_Fast_ITEMS(o);
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(o); ++i) {
    if (!is_tensor(items[i]) && !(none_too && items[i] == Py_None)) return false;
  }
  return true;
}

// Whether a tensor of one element passes for a number: not while another overload may want a
// tensor, as in max(x, y).
thread_local bool tensors_are_numbers = true;

bool stands_for_number(PyObject* o) { return tensors_are_numbers || !is_tensor(o); }

bool matches(Kind kind, PyObject* o) {
  switch (kind) {
    case Kind::tensor: return is_tensor(o);
    case Kind::operand: return is_tensor(o) || is_number(o);
    case Kind::tensors: return is_tensors(o, false);
    case Kind::optional_tensors: return is_tensors(o, true);
    case Kind::scalar: return (is_number(o) || is_one_element(o)) && stands_for_number(o);
    case Kind::integer: return (is_integer(o) || is_one_element(o)) && stands_for_number(o);
    case Kind::real: return (is_real(o) || is_one_element(o)) && stands_for_number(o);
    case Kind::boolean: return PyBool_Check(o) || is_numpy_bool(o);
    case Kind::string: return PyUnicode_Check(o);
    case Kind::padding: return PyUnicode_Check(o) || is_integer(o) || is_integers(o);
    case Kind::dims:
    case Kind::shape: return is_integer(o) || is_integers(o);
    case Kind::reals: return is_real(o) || is_reals(o);
    case Kind::dtype: return is_dtype(o);
    case Kind::device: return is_device(o) || PyUnicode_Check(o);
    case Kind::generator: return is_generator(o);
  }
  return false;
}

// Keywords that every function takes: those of PyTorch that change nothing here.
bool is_ignored(const char* name, PyObject* value) {
  for (const char* known : {"layout", "pin_memory", "memory_format", "non_blocking", "_stacklevel",
                            "device", "names"}) {
    if (std::strcmp(name, known) == 0) {
      if (std::strcmp(name, "device") == 0 && value != Py_None) {
        if (!is_device(value) && !PyUnicode_Check(value)) return false;
        return device_of(value) == cpu_device;
      }
      return true;
    }
  }
  return false;
}

struct Synonym {
  const char *given, *name;
};
constexpr Synonym kSynonyms[] = {{"axis", "dim"},   {"input", "self"},       {"axes", "dims"},
                                 {"axis", "dims"},  {"keepdims", "keepdim"}, {"x", "self"},
                                 {"x2", "other"},   {"ids", "input"},        {"dims", "dim"},
                                 {"dim", "dims"},   {"size", "shape"},       {"shape", "size"},
                                 {"self", "input"}, {"tensor", "self"}};

}  // namespace

class Parser {
 public:
  static bool parse(const Overload& f, PyObject* self, PyObject* const* args, Py_ssize_t count,
                    PyObject* names, Args& to) {
    std::memset(to.slots_, 0, sizeof(PyObject*) * f.count);
    to.rest_slot_ = -1;
    to.out_ = to.requires_grad_ = nullptr;
    int slot = 0;
    if (self) to.slots_[slot++] = self;
    if (f.varargs >= slot && f.varargs - slot < count) {
      const Py_ssize_t first = f.varargs - slot;
      const bool of_tensors = f.parameters[f.varargs].kind == Kind::tensors;
      if (all_of(args + first, count - first, of_tensors ? is_tensor : is_integer)) {
        to.rest_ = args + first;
        to.rest_count_ = count - first;
        to.rest_slot_ = f.varargs;
        to.slots_[f.varargs] = args[first];
        count = first;
      }
    }
    if (slot + count > f.count) return false;
    for (Py_ssize_t i = 0; i < count; ++i, ++slot) {
      if (args[i] == Py_None) {
        if (f.parameters[slot].required) return false;
        continue;
      }
      if (!matches(f.parameters[slot].kind, args[i])) return false;
      to.slots_[slot] = args[i];
    }
    if (names &&
        !keywords(f, args + count + (to.rest_slot_ >= 0 ? to.rest_count_ : 0), names, slot, to)) {
      return false;
    }
    for (int i = 0; i < f.count; ++i) {
      if (f.parameters[i].required && !to.slots_[i]) return false;
    }
    return true;
  }
  static void check_out(const char* function, int count, const Args& args) {
    if (args.out_) check_apart(function, args.slots_, count, args.out_);
  }
  static PyObject* out(const Args& args) { return args.out_; }
  static PyObject* requires_grad(const Args& args) { return args.requires_grad_; }

 private:
  static bool all_of(PyObject* const* args, Py_ssize_t count, bool (*test)(PyObject*)) {
    for (Py_ssize_t i = 0; i < count; ++i) {
      if (!test(args[i])) return false;
    }
    return true;
  }

  static int find(const Overload& f, const char* name) {
    for (int i = 0; i < f.count; ++i) {
      if (std::strcmp(f.parameters[i].name, name) == 0) return i;
    }
    for (const auto& [given, real] : kSynonyms) {
      if (std::strcmp(given, name) != 0) continue;
      for (int i = 0; i < f.count; ++i) {
        if (std::strcmp(f.parameters[i].name, real) == 0) return i;
      }
    }
    return -1;
  }

  static bool keywords(const Overload& f, PyObject* const* values, PyObject* names, int first,
                       Args& to) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); ++i) {
      const char* name = PyUnicode_AsUTF8(PyTuple_GET_ITEM(names, i));
      const int slot = find(f, name);
      if (slot < 0) {
        if (std::strcmp(name, "out") == 0) {
          if (values[i] != Py_None) to.out_ = values[i];
        } else if (std::strcmp(name, "requires_grad") == 0) {
          to.requires_grad_ = values[i];
        } else if (!is_ignored(name, values[i])) {
          return false;
        }
        continue;
      }
      if (slot < first && to.slots_[slot]) return false;  // given twice
      if (values[i] == Py_None) {
        if (f.parameters[slot].required) return false;
        continue;
      }
      if (!matches(f.parameters[slot].kind, values[i])) return false;
      to.slots_[slot] = values[i];
    }
    return true;
  }
};

Tensor Args::tensor(int i) const {
  if (!has(i)) return {};
  if (is_tensor(slots_[i])) return tensor_of(slots_[i]);
  return scalar(i);
}

Tensors Args::tensors(int i) const {
  Tensors list;
  if (!has(i)) return list;
  const bool rest = rest_slot_ == i;
  PyObject* const* items = rest ? rest_ : PySequence_Fast_ITEMS(slots_[i]);
  const Py_ssize_t count = rest ? rest_count_ : PySequence_Fast_GET_SIZE(slots_[i]);
  list.reserve(count);
  for (Py_ssize_t k = 0; k < count; ++k) {
    list.push_back(items[k] == Py_None ? Tensor() : tensor_of(items[k]));
  }
  return list;
}

Scalar Args::scalar(int i) const { return to_scalar(slots_[i]); }
int64_t Args::integer(int i) const { return to_integer(slots_[i]); }
double Args::real(int i) const { return to_real(slots_[i]); }

bool Args::boolean(int i) const {
  const int value = PyObject_IsTrue(slots_[i]);
  if (value < 0) throw PythonError{};
  return value != 0;
}

std::string_view Args::string(int i, std::string_view otherwise) const {
  if (!has(i)) return otherwise;
  Py_ssize_t size = 0;
  const char* text = PyUnicode_AsUTF8AndSize(slots_[i], &size);
  if (!text) throw PythonError{};
  return {text, static_cast<size_t>(size)};
}

Dims Args::dims(int i) const {
  if (!has(i)) return {};
  if (rest_slot_ != i && is_integer(slots_[i])) return to_integer(slots_[i]);
  return shape(i);
}

Padding Args::padding(int i) const {
  if (PyUnicode_Check(slots_[i])) return string(i);
  return dims(i);
}

Shape Args::shape(int i) const {
  Shape sizes;
  if (rest_slot_ == i) {
    for (Py_ssize_t k = 0; k < rest_count_; ++k) sizes.push_back(to_integer(rest_[k]));
  } else if (has(i) && !is_sequence(slots_[i])) {
    sizes.push_back(to_integer(slots_[i]));
  } else if (has(i)) {
    PyObject** items = PySequence_Fast_ITEMS(slots_[i]);
    const Py_ssize_t count = PySequence_Fast_GET_SIZE(slots_[i]);
    for (Py_ssize_t k = 0; k < count; ++k) sizes.push_back(to_integer(items[k]));
  }
  return sizes;
}

Reals Args::reals(int i) const {
  if (!has(i)) return {};
  if (!is_sequence(slots_[i])) return to_real(slots_[i]);
  std::vector<double> values;
  PyObject** items = PySequence_Fast_ITEMS(slots_[i]);
  const Py_ssize_t count = PySequence_Fast_GET_SIZE(slots_[i]);
  for (Py_ssize_t k = 0; k < count; ++k) values.push_back(to_real(items[k]));
  return Reals(values);
}

DType Args::dtype(int i) const { return dtype_of(slots_[i]); }
Device Args::device(int i) const { return has(i) ? device_of(slots_[i]) : cpu_device; }

std::optional<int64_t> Args::maybe_integer(int i) const {
  return has(i) ? std::optional(integer(i)) : std::nullopt;
}
std::optional<double> Args::maybe_real(int i) const {
  return has(i) ? std::optional(real(i)) : std::nullopt;
}
std::optional<bool> Args::maybe_boolean(int i) const {
  return has(i) ? std::optional(boolean(i)) : std::nullopt;
}
std::optional<Scalar> Args::maybe_scalar(int i) const {
  return has(i) ? std::optional(scalar(i)) : std::nullopt;
}
std::optional<DType> Args::maybe_dtype(int i) const {
  return has(i) ? std::optional(dtype(i)) : std::nullopt;
}
std::optional<Device> Args::maybe_device(int i) const {
  return has(i) ? std::optional(device(i)) : std::nullopt;
}

namespace {

std::string type_list(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  std::string text;
  auto add = [&](const std::string& item) {
    if (!text.empty()) text += ", ";
    text += item;
  };
  if (self) add(Py_TYPE(self)->tp_name);
  for (Py_ssize_t i = 0; i < count; ++i) add(Py_TYPE(args[i])->tp_name);
  for (Py_ssize_t i = 0; names && i < PyTuple_GET_SIZE(names); ++i) {
    add(std::string(PyUnicode_AsUTF8(PyTuple_GET_ITEM(names, i))) + "=" +
        Py_TYPE(args[count + i])->tp_name);
  }
  return text;
}

PyObject* refuse(const Function& function, PyObject* self, PyObject* const* args, Py_ssize_t count,
                 PyObject* names) {
  std::string text = std::string(function.name) + "(): takes";
  for (int i = 0; i < function.count; ++i) {
    text += i == 0 ? " " : "\n    or ";
    text += function.overloads[i].signature;
  }
  text += "\n  but got (" + type_list(self, args, count, names) + ")";
  PyErr_SetString(PyExc_TypeError, text.c_str());
  return nullptr;
}

PyObject* with_extras(const char* function, PyObject* result, const Args& args) {
  if (!result) return nullptr;
  if (PyObject* wanted = Parser::requires_grad(args); wanted && is_tensor(result)) {
    tensor_of(result).requires_grad_(PyObject_IsTrue(wanted) == 1);
  }
  if (PyObject* out = Parser::out(args)) return store(function, result, out);
  return result;
}

}  // namespace

PyObject* call_in_place(const Function& function, const char* op, PyObject* self,
                        PyObject* const* args, Py_ssize_t count, PyObject* names) {
  PyObject* result = call(function, self, args, count, names);
  if (!result) return nullptr;
  try {
    Tensor value = std::move(tensor_of(result));
    Py_DECREF(result);
    WithoutGil gil;
    in_place(tensor_of(self), op, std::move(value));
    gil.end();
    return Py_NewRef(self);
  } catch (...) {
    set_error();
    return nullptr;
  }
}

PyObject* call(const Function& function, PyObject* self, PyObject* const* args, Py_ssize_t count,
               PyObject* names) {
  try {
    Args parsed;
    for (int i = function.count > 1 ? 0 : function.count; i < 2 * function.count; ++i) {
      const Overload& overload = function.overloads[i % function.count];
      tensors_are_numbers = i >= function.count;
      if (!Parser::parse(overload, self, args, count, names, parsed)) continue;
      if (!names) return overload.call(parsed);
      Parser::check_out(function.name, overload.count, parsed);
      return with_extras(function.name, overload.call(parsed), parsed);
    }
    if (PyErr_Occurred()) return nullptr;
    return refuse(function, self, args, count, names);
  } catch (...) {
    set_error();
    return nullptr;
  }
}

}  // namespace tallow::python
