// dtype, device and Size, and the making of tensors' objects. The class Tensor is in tensor.cpp.
#include "objects.h"
#include "tallow/error.h"

#include <structmember.h>

#include <cstring>

#include "args.h"

namespace tallow::python {

void add_tensor_class(PyObject* module);  // tensor.cpp

namespace {

struct DTypeObject {
  PyObject_HEAD DType dtype;
};
struct DeviceObject {
  PyObject_HEAD Device device;
};

PyTypeObject* dtype_type;
PyTypeObject* device_type;
PyTypeObject* size_type;
PyObject* dtypes[kDTypeCount];
PyObject* cpu_object;

struct DTypeName {
  DType dtype;
  const char* name;
  const char* synonym;
};
constexpr DTypeName kNames[] = {{DType::f64, "float64", "double"},
                                {DType::f32, "float32", "float"},
                                {DType::f16, "float16", "half"},
                                {DType::bf16, "bfloat16", nullptr},
                                {DType::f8_e4m3, "float8_e4m3fn", nullptr},
                                {DType::f8_e5m2, "float8_e5m2", nullptr},
                                {DType::f8_e4m3fnuz, "float8_e4m3fnuz", nullptr},
                                {DType::f8_e5m2fnuz, "float8_e5m2fnuz", nullptr},
                                {DType::f8_e8m0, "float8_e8m0fnu", nullptr},
                                {DType::i8, "int8", nullptr},
                                {DType::i16, "int16", "short"},
                                {DType::i32, "int32", "int"},
                                {DType::i64, "int64", "long"},
                                {DType::u8, "uint8", nullptr},
                                {DType::u16, "uint16", nullptr},
                                {DType::u32, "uint32", nullptr},
                                {DType::u64, "uint64", nullptr},
                                {DType::boolean, "bool", nullptr},
                                {DType::c64, "complex64", "cfloat"},
                                {DType::c128, "complex128", "cdouble"}};

const char* dtype_name(DType dtype) {
  for (const DTypeName& row : kNames) {
    if (row.dtype == dtype) return row.name;
  }
  return info(dtype).name;
}

PyObject* dtype_repr(PyObject* self) {
  return PyUnicode_FromFormat("tallow.%s", dtype_name(dtype_of(self)));
}
PyObject* dtype_reduce(PyObject* self, PyObject*) {
  return PyUnicode_FromString(dtype_name(dtype_of(self)));
}
PyObject* dtype_get(PyObject* self, void* what) {
  const DType dtype = dtype_of(self);
  switch (reinterpret_cast<intptr_t>(what)) {
    case 0: return PyBool_FromLong(is_real(dtype));
    case 1: return PyBool_FromLong(is_complex(dtype));
    case 2:
      return PyBool_FromLong(is_real(dtype) || is_complex(dtype) || dtype == DType::i8 ||
                             dtype == DType::i16 || dtype == DType::i32 || dtype == DType::i64);
    case 3: return PyLong_FromLong(info(dtype).bytes);
    case 4: return PyLong_FromLong(info(dtype).block);
    case 5: return PyUnicode_FromString(dtype_name(dtype));
    default: return PyBool_FromLong(is_block(dtype));
  }
}
PyObject* dtype_to_real(PyObject* self, PyObject*) {
  return Py_NewRef(dtype_object(to_real(dtype_of(self))));
}
PyObject* dtype_to_complex(PyObject* self, PyObject*) {
  return Py_NewRef(dtype_object(to_complex(dtype_of(self))));
}
void* number(intptr_t i) { return reinterpret_cast<void*>(i); }

PyMethodDef dtype_methods[] = {
    {"__reduce__", dtype_reduce, METH_NOARGS, nullptr},
    {"to_real", dtype_to_real, METH_NOARGS, "The real dtype of the parts of a complex one."},
    {"to_complex", dtype_to_complex, METH_NOARGS, "The complex dtype of such parts."},
    {nullptr, nullptr, 0, nullptr}};
PyGetSetDef dtype_getset[] = {{"is_floating_point", dtype_get, nullptr, nullptr, number(0)},
                              {"is_complex", dtype_get, nullptr, nullptr, number(1)},
                              {"is_signed", dtype_get, nullptr, nullptr, number(2)},
                              {"itemsize", dtype_get, nullptr,
                               "Bytes of an element; of a block for block dtypes.", number(3)},
                              {"block_size", dtype_get, nullptr,
                               "Elements in a block: 1, or more for block dtypes.", number(4)},
                              {"name", dtype_get, nullptr, nullptr, number(5)},
                              {"is_block", dtype_get, nullptr, nullptr, number(6)},
                              {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyObject* device_new(PyTypeObject*, PyObject* args, PyObject*) {
  PyObject* first = nullptr;
  int index = -1;
  if (!PyArg_ParseTuple(args, "O|i", &first, &index)) return nullptr;
  try {
    Device device = device_of(first);
    if (index >= 0) device.index = static_cast<uint8_t>(index);
    return device_object(device);
  } catch (...) {
    set_error();
    return nullptr;
  }
}
Device device_in(PyObject* self) { return reinterpret_cast<DeviceObject*>(self)->device; }
PyObject* device_repr(PyObject* self) {
  const Device device = device_in(self);
  if (device.kind == DeviceKind::cpu) return PyUnicode_FromString("device(type='cpu')");
  return PyUnicode_FromFormat("device(type='%s', index=%d)",
                              device.kind == DeviceKind::cuda ? "cuda" : "metal", device.index);
}
PyObject* device_str(PyObject* self) {
  return PyUnicode_FromString(to_string(device_in(self)).c_str());
}
Py_hash_t device_hash(PyObject* self) {
  return static_cast<int>(device_in(self).kind) * 256 + device_in(self).index + 1;
}
PyObject* device_compare(PyObject* a, PyObject* b, int op) {
  if (!is_device(a) || !is_device(b) || (op != Py_EQ && op != Py_NE)) Py_RETURN_NOTIMPLEMENTED;
  return PyBool_FromLong((device_in(a) == device_in(b)) == (op == Py_EQ));
}
PyObject* device_get(PyObject* self, void* what) {
  const Device device = device_in(self);
  if (!what) {
    return PyUnicode_FromString(device.kind == DeviceKind::cpu    ? "cpu"
                                : device.kind == DeviceKind::cuda ? "cuda"
                                                                  : "metal");
  }
  if (device.kind == DeviceKind::cpu) Py_RETURN_NONE;
  return PyLong_FromLong(device.index);
}
PyObject* device_reduce(PyObject* self, PyObject*) {
  return Py_BuildValue("(O(N))", device_type, device_str(self));
}
PyMethodDef device_methods[] = {{"__reduce__", device_reduce, METH_NOARGS, nullptr},
                                {nullptr, nullptr, 0, nullptr}};
PyGetSetDef device_getset[] = {{"type", device_get, nullptr, nullptr, nullptr},
                               {"index", device_get, nullptr, nullptr, number(1)},
                               {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyObject* size_repr(PyObject* self) {
  PyObject* list = PySequence_List(self);
  if (!list) return nullptr;
  PyObject* text = PyUnicode_FromFormat("tallow.Size(%R)", list);
  Py_DECREF(list);
  return text;
}
PyObject* size_numel(PyObject* self, PyObject*) {
  int64_t product = 1;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self); ++i) {
    product *= PyLong_AsLongLong(PyTuple_GET_ITEM(self, i));
  }
  return PyLong_FromLongLong(product);
}
// A slice, sum or multiple of a Size is a Size.
PyObject* as_size(PyObject* tuple) {
  if (!tuple || !PyTuple_Check(tuple)) return tuple;
  PyObject* size = PyObject_CallOneArg(reinterpret_cast<PyObject*>(size_type), tuple);
  Py_DECREF(tuple);
  return size;
}
PyObject* size_subscript(PyObject* self, PyObject* key) {
  PyObject* result = PyTuple_Type.tp_as_mapping->mp_subscript(self, key);
  return PySlice_Check(key) ? as_size(result) : result;
}
PyObject* size_concat(PyObject* a, PyObject* b) {
  return as_size(PyTuple_Type.tp_as_sequence->sq_concat(a, b));
}
PyObject* size_repeat(PyObject* a, Py_ssize_t count) {
  return as_size(PyTuple_Type.tp_as_sequence->sq_repeat(a, count));
}
PyObject* size_reduce(PyObject* self, PyObject*) {
  PyObject* plain = PySequence_Tuple(PySequence_List(self));
  return plain ? Py_BuildValue("(O(N))", size_type, plain) : nullptr;
}
PyMethodDef size_methods[] = {
    {"numel", size_numel, METH_NOARGS, "The number of elements of a tensor of this size."},
    {"__reduce__", size_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

template <class T>
void* slot(T function) {
  return reinterpret_cast<void*>(function);
}

PyTypeObject* make_type(PyObject* module, const char* name, int bytes, PyType_Slot* slots,
                        PyObject* bases = nullptr) {
  PyType_Spec spec{name, bytes, 0, Py_TPFLAGS_DEFAULT, slots};
  PyObject* type = PyType_FromSpecWithBases(&spec, bases);
  if (!type) throw PythonError{};
  PyModule_AddObjectRef(module, std::strrchr(name, '.') + 1, type);
  return reinterpret_cast<PyTypeObject*>(type);
}

void add_dtypes(PyObject* module) {
  PyType_Slot slots[] = {{Py_tp_repr, slot(dtype_repr)},
                         {Py_tp_methods, dtype_methods},
                         {Py_tp_getset, dtype_getset},
                         {0, nullptr}};
  dtype_type = make_type(module, "tallow.dtype", sizeof(DTypeObject), slots);
  for (int i = 0; i < kDTypeCount; ++i) {
    auto* object = PyObject_New(DTypeObject, dtype_type);
    object->dtype = static_cast<DType>(i);
    dtypes[i] = reinterpret_cast<PyObject*>(object);
    PyModule_AddObjectRef(module, dtype_name(object->dtype), dtypes[i]);
  }
  for (const DTypeName& row : kNames) {
    if (row.synonym) PyModule_AddObjectRef(module, row.synonym, dtype_object(row.dtype));
  }
}

void add_device(PyObject* module) {
  PyType_Slot slots[] = {{Py_tp_new, slot(device_new)},
                         {Py_tp_repr, slot(device_repr)},
                         {Py_tp_str, slot(device_str)},
                         {Py_tp_hash, slot(device_hash)},
                         {Py_tp_methods, device_methods},
                         {Py_tp_getset, device_getset},
                         {Py_tp_richcompare, slot(device_compare)},
                         {0, nullptr}};
  device_type = make_type(module, "tallow.device", sizeof(DeviceObject), slots);
  cpu_object = device_object(cpu_device);
}

void add_size(PyObject* module) {
  PyType_Slot slots[] = {{Py_tp_repr, slot(size_repr)},           {Py_tp_methods, size_methods},
                         {Py_mp_subscript, slot(size_subscript)}, {Py_sq_concat, slot(size_concat)},
                         {Py_sq_repeat, slot(size_repeat)},       {0, nullptr}};
  size_type =
      make_type(module, "tallow.Size", 0, slots, reinterpret_cast<PyObject*>(&PyTuple_Type));
}

}  // namespace

PyObject* dtype_object(DType dtype) { return dtypes[static_cast<int>(dtype)]; }
bool is_dtype(PyObject* object) {
  return Py_TYPE(object) == dtype_type || object == reinterpret_cast<PyObject*>(&PyFloat_Type) ||
         object == reinterpret_cast<PyObject*>(&PyLong_Type) ||
         object == reinterpret_cast<PyObject*>(&PyBool_Type) ||
         object == reinterpret_cast<PyObject*>(&PyComplex_Type);
}
DType dtype_of(PyObject* object) {
  if (Py_TYPE(object) == dtype_type) return reinterpret_cast<DTypeObject*>(object)->dtype;
  if (object == reinterpret_cast<PyObject*>(&PyFloat_Type)) return DType::f64;
  if (object == reinterpret_cast<PyObject*>(&PyLong_Type)) return DType::i64;
  if (object == reinterpret_cast<PyObject*>(&PyBool_Type)) return DType::boolean;
  if (object == reinterpret_cast<PyObject*>(&PyComplex_Type)) return DType::c128;
  PyErr_Format(PyExc_TypeError, "expected a dtype, not %s", Py_TYPE(object)->tp_name);
  throw PythonError{};
}

PyObject* device_object(Device device) {
  if (cpu_object && device == cpu_device) return Py_NewRef(cpu_object);
  auto* object = PyObject_New(DeviceObject, device_type);
  object->device = device;
  return reinterpret_cast<PyObject*>(object);
}
bool is_device(PyObject* object) { return Py_TYPE(object) == device_type; }
Device device_of(PyObject* object) {
  if (is_device(object)) return device_in(object);
  const char* text = PyUnicode_Check(object) ? PyUnicode_AsUTF8(object) : nullptr;
  if (!text) {
    PyErr_Format(PyExc_TypeError, "expected a device, not %s", Py_TYPE(object)->tp_name);
    throw PythonError{};
  }
  const char* colon = std::strchr(text, ':');
  const std::string_view kind(text, colon ? colon - text : std::strlen(text));
  const uint8_t index = colon ? static_cast<uint8_t>(std::atoi(colon + 1)) : 0;
  if (kind == "cpu") return cpu_device;
  if (kind == "cuda") return {DeviceKind::cuda, index};
  if (kind == "metal" || kind == "mps") return {DeviceKind::metal, index};
  fail("device: '", text, "' is none of cpu, cuda, metal");
}

PyObject* size_object(const Shape& shape) {
  PyObject* tuple = size_type->tp_alloc(size_type, shape.size());
  if (!tuple) return nullptr;
  for (int i = 0; i < shape.size(); ++i) {
    PyTuple_SET_ITEM(tuple, i, PyLong_FromLongLong(shape[i]));
  }
  return tuple;
}

void add_objects(PyObject* module) {
  add_dtypes(module);
  add_device(module);
  add_size(module);
  add_tensor_class(module);
}

}  // namespace tallow::python
