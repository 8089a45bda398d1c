// Files of tensors, and what torch.save writes, from and to Python's objects.
#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <unordered_map>

#include "objects.h"
#include "tallow/error.h"
#include "tallow/files.h"
#include "tallow/npy.h"
#include "tallow/pytorch.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace tallow::python {
namespace {

constexpr int kDeepest = 500;

nb::object to_python(Tensor tensor) { return nb::steal(wrap(std::move(tensor))); }

/// Text, with bytes that are no UTF-8 as Python's pickle has them.
nb::object text_of(const std::string& text) {
  return nb::steal(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "surrogatepass"));
}

/// Objects of Python's; containers that are shared stay shared.
class ToPython {
 public:
  ToPython() : dict_(nb::module_::import_("collections").attr("OrderedDict")) {}

  nb::object operator()(const Object& object) {
    nb::object made = make(object);
    if (!made.is_valid()) nb::raise_python_error();
    return made;
  }

 private:
  nb::object make(const Object& object) {
    if (object.is_none()) return nb::none();
    if (const bool* value = object.as<bool>()) return nb::bool_(*value);
    if (const int64_t* value = object.integer()) return nb::int_(*value);
    if (const double* value = object.as<double>()) return nb::float_(*value);
    if (const auto* value = object.as<std::complex<double>>()) {
      return nb::steal(PyComplex_FromDoubles(value->real(), value->imag()));
    }
    if (const std::string* value = object.text()) return text_of(*value);
    if (const Tensor* value = object.tensor()) return to_python(*value);
    if (const DType* value = object.as<DType>()) return nb::borrow(dtype_object(*value));
    if (const auto* value = object.as<Object::DeviceName>()) return device(value->name);
    if (const auto* value = object.as<Object::BigInteger>()) return integer(*value->value);
    if (const auto* value = object.as<Object::Bytes>()) return bytes(*value);
    const void* container = object.items() ? static_cast<void*>(object.items()) : object.members();
    nb::object& known = made_[container];
    if (known.is_valid()) return known;
    nb::object made = object.items() ? sequence(*object.items()) : dict(*object.members());
    made_[container] = made;
    return made;
  }

  /// A device of this build's; the name of one that it lacks.
  static nb::object device(const std::string& name) {
    if (!name.starts_with("cpu")) return text_of(name);
    return nb::module_::import_("tallow").attr("device")(text_of(name));
  }

  static nb::object integer(const std::string& digits) {
    nb::bytes bytes(digits.data(), digits.size());
    return nb::borrow(reinterpret_cast<PyObject*>(&PyLong_Type))
        .attr("from_bytes")(bytes, "little", "signed"_a = true);
  }

  static nb::object bytes(const Object::Bytes& bytes) {
    const std::string& value = *bytes.value;
    const auto size = static_cast<Py_ssize_t>(value.size());
    return nb::steal(bytes.is_mutable ? PyByteArray_FromStringAndSize(value.data(), size)
                                      : PyBytes_FromStringAndSize(value.data(), size));
  }

  nb::object sequence(const Object::Sequence& sequence) {
    nb::list items;
    for (const Object& item : sequence.items) items.append((*this)(item));
    switch (sequence.kind) {
      case Object::SequenceKind::list: return items;
      case Object::SequenceKind::size: return nb::module_::import_("tallow").attr("Size")(items);
      case Object::SequenceKind::tuple: return nb::steal(PyList_AsTuple(items.ptr()));
      case Object::SequenceKind::set: return nb::steal(PySet_New(items.ptr()));
      case Object::SequenceKind::frozenset: return nb::steal(PyFrozenSet_New(items.ptr()));
    }
    return items;
  }

  nb::object dict(const Object::Dict& dict) {
    nb::object made = dict.ordered ? dict_() : nb::object(nb::dict());
    for (const auto& [key, value] : dict.entries) {
      if (PyObject_SetItem(made.ptr(), (*this)(key).ptr(), (*this)(value).ptr()) < 0) {
        nb::raise_python_error();
      }
    }
    return made;
  }

  nb::object dict_;
  std::unordered_map<const void*, nb::object> made_;
};

/// Plain values and containers of Python's; `path` names what is wrong, as in obj["a"][0].
class FromPython {
 public:
  FromPython() : ordered_(nb::module_::import_("collections").attr("OrderedDict")) {}

  Object operator()(nb::handle object, const std::string& path, int depth) {
    if (depth > kDeepest) fail("save: ", path, ": containers nest deeper than ", kDeepest);
    PyObject* o = object.ptr();
    if (object.is_none()) return {};
    if (PyBool_Check(o)) return Object(o == Py_True);
    if (PyLong_Check(o)) return integer(object);
    if (PyFloat_Check(o)) return Object(PyFloat_AS_DOUBLE(o));
    if (PyComplex_Check(o)) {
      return std::complex<double>(PyComplex_RealAsDouble(o), PyComplex_ImagAsDouble(o));
    }
    if (PyUnicode_Check(o)) return text(object);
    if (PyBytes_Check(o)) {
      return Object::Bytes{std::make_shared<const std::string>(
                               PyBytes_AS_STRING(o), static_cast<size_t>(PyBytes_GET_SIZE(o))),
                           false};
    }
    if (PyByteArray_Check(o)) {
      return Object::Bytes{
          std::make_shared<const std::string>(PyByteArray_AS_STRING(o),
                                              static_cast<size_t>(PyByteArray_GET_SIZE(o))),
          true};
    }
    if (is_tensor(o)) return tensor_of(o);
    if (is_dtype(o)) return dtype_of(o);
    return container(object, path, depth);
  }

 private:
  Object container(nb::handle object, const std::string& path, int depth) {
    PyObject* o = object.ptr();
    if (const auto found = made_.find(o); found != made_.end()) return found->second;
    Object made;
    if (PyDict_Check(o)) {
      made = dict(object, path, depth);
    } else if (PyList_Check(o) || PyTuple_Check(o) || PyAnySet_Check(o)) {
      made = sequence(object, path, depth);
    } else if (std::string_view(Py_TYPE(o)->tp_name).ends_with("device")) {
      made = Object::DeviceName{nb::cast<std::string>(nb::str(object))};
    } else {
      throw nb::type_error(str("save: ", path, " is a ", Py_TYPE(o)->tp_name,
                               "; tensors, numbers, strings and containers of such are saved")
                               .c_str());
    }
    made_.emplace(o, made);
    return made;
  }

  static Object text(nb::handle object) {
    const auto bytes =
        nb::steal<nb::bytes>(PyUnicode_AsEncodedString(object.ptr(), "utf-8", "surrogatepass"));
    if (!bytes.is_valid()) nb::raise_python_error();
    return std::string(bytes.c_str(), bytes.size());
  }

  static Object integer(nb::handle object) {
    int overflow = 0;
    const int64_t value = PyLong_AsLongLongAndOverflow(object.ptr(), &overflow);
    if (overflow == 0) return value;
    const auto bits = nb::cast<size_t>(object.attr("bit_length")());
    const auto bytes =
        nb::cast<nb::bytes>(object.attr("to_bytes")(bits / 8 + 1, "little", "signed"_a = true));
    return Object::BigInteger{std::make_shared<const std::string>(bytes.c_str(), bytes.size())};
  }

  Object sequence(nb::handle object, const std::string& path, int depth) {
    using enum Object::SequenceKind;
    PyObject* o = object.ptr();
    const bool is_size = std::string_view(Py_TYPE(o)->tp_name).ends_with("Size");
    const auto kind = PyList_Check(o)        ? list
                      : is_size              ? size
                      : PyTuple_Check(o)     ? tuple
                      : PyFrozenSet_Check(o) ? frozenset
                                             : set;
    Object::Items items;
    for (nb::handle item : object) {
      items.push_back((*this)(item, str(path, "[", items.size(), "]"), depth + 1));
    }
    return Object::sequence(kind, std::move(items));
  }

  Object dict(nb::handle object, const std::string& path, int depth) {
    Object::Entries entries;
    for (auto [key, value] : nb::borrow<nb::dict>(object)) {
      const std::string name = str(path, "[", nb::repr(key).c_str(), "]");
      entries.emplace_back((*this)(key, name, depth + 1), (*this)(value, name, depth + 1));
    }
    return Object::dict(std::move(entries), nb::isinstance(object, ordered_));
  }

  nb::object ordered_;
  std::unordered_map<PyObject*, Object> made_;
};

nb::dict to_dict(const NamedTensors& tensors) {
  nb::dict out;
  for (const auto& [name, tensor] : tensors) out[text_of(name)] = to_python(tensor);
  return out;
}

nb::dict load(const std::string& path) {
  NamedTensors tensors;
  {
    nb::gil_scoped_release no_gil;
    tensors = load_file(path);
  }
  return to_dict(tensors);
}

NamedTensors named_tensors(const nb::dict& tensors) {
  NamedTensors out;
  for (auto [key, value] : tensors) {
    if (!PyUnicode_Check(key.ptr())) {
      throw nb::type_error(
          str("save_file: the name ", nb::repr(key).c_str(), " is not a string").c_str());
    }
    if (!is_tensor(value.ptr())) {
      throw nb::type_error(str("save_file: ", nb::repr(key).c_str(), " is a ",
                               Py_TYPE(value.ptr())->tp_name, ", not a Tensor")
                               .c_str());
    }
    out.emplace_back(nb::cast<std::string>(key), tensor_of(value.ptr()));
  }
  return out;
}

void save(const nb::dict& tensors, const std::string& path, const FileMetadata& metadata,
          int64_t max_shard_bytes, bool compressed) {
  const NamedTensors named = named_tensors(tensors);
  nb::gil_scoped_release no_gil;
  save_file(named, path, {metadata, max_shard_bytes, compressed, false, {}});
}

nb::object load_pickled(const std::string& path) {
  std::shared_ptr<const PytorchFile> file;
  {
    nb::gil_scoped_release no_gil;
    file = PytorchFile::open(path);
  }
  return ToPython()(file->root());
}

nb::object load_pickled_bytes(const nb::bytes& bytes, const std::string& what) {
  const auto file = PytorchFile::from_memory(
      {reinterpret_cast<const std::byte*>(bytes.c_str()), bytes.size()}, what);
  return ToPython()(file->root());
}

void save_pickled(nb::handle object, const std::string& path) {
  const Object plain = FromPython()(object, "obj", 0);
  nb::gil_scoped_release no_gil;
  save_pytorch(path, plain);
}

/// An opened file or folder, whose tensors are read when asked for.
void add_opened(nb::module_& m) {
  nb::class_<TensorFiles>(m, "TensorFiles",
                          "An opened file or folder of tensors: names, metadata, and each tensor "
                          "when it is asked for.")
      .def(
          "__init__",
          [](TensorFiles* self, const std::string& path) {
            new (self) TensorFiles(open_tensors(path));
          },
          "path"_a)
      .def_ro("format", &TensorFiles::format)
      .def("keys", [](const TensorFiles& self) { return self.source->names(); })
      .def("__len__", [](const TensorFiles& self) { return self.source->names().size(); })
      .def("__iter__",
           [](const TensorFiles& self) { return nb::iter(nb::cast(self.source->names())); })
      .def("__contains__", [](const TensorFiles& self,
                              const std::string& name) { return self.source->contains(name); })
      .def("__getitem__",
           [](const TensorFiles& self, const std::string& name) {
             if (!self.source->contains(name)) throw nb::key_error(name.c_str());
             return to_python(self.source->get(name));
           })
      .def("get_tensor", [](const TensorFiles& self,
                            const std::string& name) { return to_python(self.source->get(name)); })
      .def("metadata",
           [](const TensorFiles& self) {
             nb::dict out;
             for (const auto& [key, value] : self.metadata) out[text_of(key)] = text_of(value);
             return out;
           })
      .def("__enter__", [](nb::handle self) { return nb::borrow(self); })
      .def("__exit__", [](const TensorFiles&, const nb::args&) {});
}

}  // namespace

void add_files(PyObject* module) {
  auto m = nb::borrow<nb::module_>(module);
  add_opened(m);
  m.def("_load_file", load);
  m.def("_save_file", save);
  m.def("_load_pytorch", load_pickled);
  m.def("_load_pytorch_bytes", load_pickled_bytes);
  m.def("_save_pytorch", save_pickled);
  m.def("_load_npy", [](const std::string& path) { return to_python(load_npy(path)); });
}

}  // namespace tallow::python
