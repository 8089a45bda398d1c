// The class Generator and manual_seed.
#include <Python.h>

#include <cstring>
#include <new>

#include "args.h"
#include "objects.h"
#include "slots.h"
#include "tallow/random.h"

namespace tallow::python {
namespace {

PyTypeObject* generator_type;

struct GeneratorObject {
  PyObject_HEAD Generator generator;
};

Generator& generator_of(PyObject* self) {
  return reinterpret_cast<GeneratorObject*>(self)->generator;
}

PyObject* wrap(const Generator& generator) {
  PyObject* self = generator_type->tp_alloc(generator_type, 0);
  if (self) new (&generator_of(self)) Generator(generator);
  return self;
}

PyObject* make(PyTypeObject*, PyObject* args, PyObject* keywords) {
  static char device[] = "device";
  static char* names[] = {device, nullptr};
  PyObject* where = nullptr;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "|O", names, &where)) return nullptr;
  return wrap(Generator());
}

void destroy(PyObject* self) {
  generator_of(self).~Generator();
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

// Negative seeds count from 2^64.
bool seed_of(PyObject* number, uint64_t& seed) {
  PyObject* index = PyNumber_Index(number);
  if (!index) return false;
  seed = PyLong_AsUnsignedLongLongMask(index);
  Py_DECREF(index);
  return !PyErr_Occurred();
}

PyObject* manual_seed_method(PyObject* self, PyObject* number) {
  uint64_t seed = 0;
  if (!seed_of(number, seed)) return nullptr;
  generator_of(self).manual_seed(seed);
  return Py_NewRef(self);
}

PyObject* seed_method(PyObject* self, PyObject*) {
  return PyLong_FromUnsignedLongLong(generator_of(self).seed());
}

PyObject* initial_seed_method(PyObject* self, PyObject*) {
  return PyLong_FromUnsignedLongLong(generator_of(self).initial_seed());
}

PyObject* get_state_method(PyObject* self, PyObject*) {
  const std::string state = generator_of(self).get_state();
  const Tensor bytes = Tensor::empty({static_cast<int64_t>(state.size())}, DType::u8);
  std::memcpy(bytes.raw(), state.data(), state.size());
  return python::wrap(bytes);
}

PyObject* set_state_method(PyObject* self, PyObject* state) {
  try {
    if (!is_tensor(state) || tensor_of(state).dtype() != DType::u8) {
      PyErr_SetString(PyExc_TypeError, "set_state: the state is a uint8 tensor from get_state()");
      return nullptr;
    }
    const Tensor bytes = contiguous(tensor_of(state));
    generator_of(self).set_state(
        {static_cast<const char*>(bytes.raw()), static_cast<size_t>(bytes.numel())});
    return Py_NewRef(self);
  } catch (...) {
    set_error();
    return nullptr;
  }
}

PyObject* get_device(PyObject*, void*) { return Py_NewRef(device_object(cpu_device)); }

PyMethodDef methods[] = {
    {"manual_seed", manual_seed_method, METH_O, "Starts again from a seed."},
    {"seed", seed_method, METH_NOARGS, "Starts again from a seed that the system drew."},
    {"initial_seed", initial_seed_method, METH_NOARGS, "The seed."},
    {"get_state", get_state_method, METH_NOARGS, "The seed and the position, as bytes."},
    {"set_state", set_state_method, METH_O, "Goes on from what get_state() returned."},
    {}};

PyGetSetDef attributes[] = {{"device", get_device, nullptr, "Where it draws.", nullptr}, {}};

}  // namespace

bool is_generator(PyObject* object) { return Py_TYPE(object) == generator_type; }

std::optional<Generator> Args::maybe_generator(int i) const {
  return has(i) ? std::optional(generator_of(slots_[i])) : std::nullopt;
}

void add_generator(PyObject* module) {
  PyType_Slot slots[] = {slot(Py_tp_new, make),
                         slot(Py_tp_dealloc, destroy),
                         {Py_tp_methods, methods},
                         {Py_tp_getset, attributes},
                         {0, nullptr}};
  PyType_Spec spec{"tallow.Generator", sizeof(GeneratorObject), 0, Py_TPFLAGS_DEFAULT, slots};
  PyObject* type = PyType_FromSpec(&spec);
  if (!type) throw PythonError{};
  generator_type = reinterpret_cast<PyTypeObject*>(type);
  PyModule_AddObjectRef(module, "Generator", type);
  PyModule_AddObject(module, "default_generator", wrap(default_generator()));
}

}  // namespace tallow::python
