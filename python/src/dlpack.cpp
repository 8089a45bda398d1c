// DLPack in both directions: tensors of other libraries on the same memory. dmlc.github.io/dlpack
#include <cstring>

#include "args.h"
#include "data.h"
#include "objects.h"
#include "tallow/error.h"
#include "tallow/shared_memory.h"

namespace tallow::python {
namespace {

// The structures of DLPack 1.1, which are its whole interface.
struct DLDevice {
  int32_t type, id;
};
struct DLDataType {
  uint8_t code, bits;
  uint16_t lanes;
};
struct DLTensor {
  void* data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t* shape;
  int64_t* strides;
  uint64_t byte_offset;
};
struct DLManagedTensor {
  DLTensor tensor;
  void* context;
  void (*deleter)(DLManagedTensor*);
};
struct DLManagedTensorVersioned {
  uint32_t major, minor;
  void* context;
  void (*deleter)(DLManagedTensorVersioned*);
  uint64_t flags;
  DLTensor tensor;
};
constexpr uint64_t kReadOnly = 1;
constexpr int32_t kCpu = 1;
constexpr const char* kName = "dltensor";
constexpr const char* kUsedName = "used_dltensor";
constexpr const char* kVersionedName = "dltensor_versioned";
constexpr const char* kUsedVersionedName = "used_dltensor_versioned";

struct TypeRow {
  DType dtype;
  uint8_t code, bits;
};
constexpr TypeRow kTypes[] = {
    {DType::i8, 0, 8},           {DType::i16, 0, 16},     {DType::i32, 0, 32},
    {DType::i64, 0, 64},         {DType::u8, 1, 8},       {DType::u16, 1, 16},
    {DType::u32, 1, 32},         {DType::u64, 1, 64},     {DType::f16, 2, 16},
    {DType::f32, 2, 32},         {DType::f64, 2, 64},     {DType::bf16, 4, 16},
    {DType::c64, 5, 64},         {DType::c128, 5, 128},   {DType::boolean, 6, 8},
    {DType::f8_e4m3, 10, 8},     {DType::f8_e5m2, 12, 8}, {DType::f8_e4m3fnuz, 11, 8},
    {DType::f8_e5m2fnuz, 13, 8}, {DType::f8_e8m0, 14, 8},
};

DLDataType dlpack_type(DType dtype) {
  for (const TypeRow& row : kTypes) {
    if (row.dtype == dtype) return {row.code, row.bits, 1};
  }
  fail("__dlpack__: DLPack has no ", dtype, "; call .float() first");
}
DType dtype_of_dlpack(DLDataType type) {
  for (const TypeRow& row : kTypes) {
    if (row.code == type.code && row.bits == type.bits && type.lanes == 1) return row.dtype;
  }
  fail("from_dlpack: unknown element type (code ", int{type.code}, ", ", int{type.bits}, " bits)");
}

// What an exported tensor holds: the buffer itself, since x may get another one in place.
struct Exported {
  std::shared_ptr<Buffer> buffer;
  Shape shape, strides;
  DLManagedTensor plain;
  DLManagedTensorVersioned versioned;
};

DLTensor describe(Exported& e, const Tensor& x) {
  return {x.numel() ? x.raw() : nullptr,
          {kCpu, 0},
          x.dim(),
          dlpack_type(x.dtype()),
          e.shape.begin(),
          e.strides.begin(),
          0};
}

template <class T>
void release_unused(PyObject* capsule, const char* name) {
  if (!PyCapsule_IsValid(capsule, name)) return;  // taken over
  auto* managed = static_cast<T*>(PyCapsule_GetPointer(capsule, name));
  managed->deleter(managed);
}

PyObject* export_dlpack(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  bool versioned = false, copy = false;
  for (Py_ssize_t i = 0; names && i < PyTuple_GET_SIZE(names); ++i) {
    const char* name = PyUnicode_AsUTF8(PyTuple_GET_ITEM(names, i));
    PyObject* value = args[count + i];
    if (std::strcmp(name, "max_version") == 0 && PyTuple_Check(value)) {
      versioned = PyLong_AsLong(PyTuple_GetItem(value, 0)) >= 1;
    }
    if (std::strcmp(name, "copy") == 0) copy = value == Py_True;
  }
  try {
    if (tensor_of(self).requires_grad()) {
      PyErr_SetString(PyExc_BufferError,
                      "Can't export tensors that require gradient, use tensor.detach()");
      return nullptr;
    }
    const Tensor x = copy ? tensor_of(self).clone() : tensor_of(self);
    note_shared(x.buffer());
    auto exported =
        std::make_unique<Exported>(Exported{x.buffer(), x.shape(), x.strides(), {}, {}});
    Exported* e = exported.get();
    const DLTensor tensor = describe(*e, x);
    e->plain = {tensor, e, [](DLManagedTensor* m) { delete static_cast<Exported*>(m->context); }};
    const bool read_only = x.buffer()->kind() == Buffer::Kind::mapped;
    e->versioned = {1,
                    0,
                    e,
                    [](DLManagedTensorVersioned* m) { delete static_cast<Exported*>(m->context); },
                    read_only ? kReadOnly : 0,
                    tensor};
    exported.release();
    if (versioned) {
      return PyCapsule_New(&e->versioned, kVersionedName, [](PyObject* capsule) {
        release_unused<DLManagedTensorVersioned>(capsule, kVersionedName);
      });
    }
    return PyCapsule_New(&e->plain, kName, [](PyObject* capsule) {
      release_unused<DLManagedTensor>(capsule, kName);
    });
  } catch (...) {
    set_error();
    return nullptr;
  }
}

PyObject* dlpack_device(PyObject*, PyObject*) { return Py_BuildValue("(ii)", kCpu, 0); }

Tensor adopt(const DLTensor& t, std::shared_ptr<void> owner) {
  if (t.device.type != kCpu) fail("from_dlpack: the tensor is not in the CPU's memory");
  if (t.ndim > Shape::kMaxDims) fail("from_dlpack: ", t.ndim, " dimensions are too many");
  const DType dtype = dtype_of_dlpack(t.dtype);
  const Shape shape{std::span(t.shape, t.ndim)};
  const Shape strides = t.strides ? Shape(std::span(t.strides, t.ndim)) : contiguous_strides(shape);
  int64_t last = 0;
  for (int i = 0; i < shape.size(); ++i) {
    if (strides[i] < 0 && shape[i] > 1) fail("from_dlpack: negative strides; copy the array first");
    last += (shape[i] - 1) * strides[i];
  }
  const int64_t bytes = shape.numel() == 0 ? 0 : (last + 1) * info(dtype).bytes;
  auto buffer = Buffer::wrap(static_cast<char*>(t.data) + t.byte_offset, bytes, std::move(owner),
                             Buffer::Kind::borrowed);
  return {std::move(buffer), 0, shape, strides, dtype};
}

template <class T>
Tensor take(PyObject* capsule, const char* name, const char* used) {
  auto* managed = static_cast<T*>(PyCapsule_GetPointer(capsule, name));
  if (!managed) throw PythonError{};
  if constexpr (std::is_same_v<T, DLManagedTensorVersioned>) {
    if (managed->major > 1) fail("from_dlpack: version ", managed->major, " is too new");
  }
  PyCapsule_SetName(capsule, used);
  std::shared_ptr<void> owner(managed, [](void* held) {
    auto* m = static_cast<T*>(held);
    if (!m->deleter || !Py_IsInitialized()) return;
    PyGILState_STATE state = PyGILState_Ensure();
    m->deleter(m);
    PyGILState_Release(state);
  });
  Tensor x = adopt(managed->tensor, std::move(owner));
  if constexpr (std::is_same_v<T, DLManagedTensorVersioned>) {
    if (managed->flags & kReadOnly) return x.clone();
  }
  return x;
}

PyObject* capsule_of(PyObject* object) {
  if (PyCapsule_CheckExact(object)) return Py_NewRef(object);
  PyObject* method = PyObject_GetAttrString(object, "__dlpack__");
  if (!method) {
    PyErr_Clear();
    PyErr_Format(PyExc_TypeError, "from_dlpack: %s has no __dlpack__", Py_TYPE(object)->tp_name);
    throw PythonError{};
  }
  PyObject* none = PyTuple_New(0);
  PyObject* version = Py_BuildValue("{s(ii)}", "max_version", 1, 0);
  PyObject* capsule = PyObject_Call(method, none, version);
  if (!capsule && PyErr_ExceptionMatches(PyExc_TypeError)) {  // older than version 1
    PyErr_Clear();
    capsule = PyObject_CallNoArgs(method);
  }
  Py_DECREF(version);
  Py_DECREF(none);
  Py_DECREF(method);
  if (!capsule) throw PythonError{};
  return capsule;
}

PyObject* from_dlpack(PyObject*, PyObject* object) {
  PyObject* capsule = nullptr;
  try {
    capsule = capsule_of(object);
    Tensor x = PyCapsule_IsValid(capsule, kVersionedName)
                   ? take<DLManagedTensorVersioned>(capsule, kVersionedName, kUsedVersionedName)
                   : take<DLManagedTensor>(capsule, kName, kUsedName);
    Py_DECREF(capsule);
    return wrap(std::move(x));
  } catch (...) {
    set_error();
    Py_XDECREF(capsule);
    return nullptr;
  }
}

PyMethodDef functions[] = {
    {"from_dlpack", from_dlpack, METH_O, "from_dlpack(x)\n\nA tensor on the memory of x."},
    {nullptr, nullptr, 0, nullptr}};
PyMethodDef methods[] = {
    {"__dlpack__", cast(export_dlpack), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {"__dlpack_device__", dlpack_device, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

void add_dlpack(PyObject* module) {
  add_functions(module, functions);
  add_methods(methods);
}

}  // namespace tallow::python
