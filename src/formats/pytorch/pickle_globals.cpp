// The allow-list: what a pickle may name, and what it means. There is no other way to a value.
#include <algorithm>
#include <string_view>

#include "formats/pytorch/unpickler.h"
#include "tallow/error.h"

namespace tallow {
namespace {

using Items = Object::Items;
using SequenceKind = Object::SequenceKind;

struct NamedDType {
  const char* storage;  // the class of a storage, or null
  const char* dtype;
  DType value;
};
constexpr NamedDType kDTypes[] = {
    {"DoubleStorage", "float64", DType::f64},
    {"FloatStorage", "float32", DType::f32},
    {"HalfStorage", "float16", DType::f16},
    {"BFloat16Storage", "bfloat16", DType::bf16},
    {"LongStorage", "int64", DType::i64},
    {"IntStorage", "int32", DType::i32},
    {"ShortStorage", "int16", DType::i16},
    {"CharStorage", "int8", DType::i8},
    {"ByteStorage", "uint8", DType::u8},
    {"BoolStorage", "bool", DType::boolean},
    {"ComplexFloatStorage", "complex64", DType::c64},
    {"ComplexDoubleStorage", "complex128", DType::c128},
    {"UntypedStorage", nullptr, DType::u8},
    {"_UntypedStorage", nullptr, DType::u8},
    {nullptr, "uint16", DType::u16},
    {nullptr, "uint32", DType::u32},
    {nullptr, "uint64", DType::u64},
    {nullptr, "float8_e4m3fn", DType::f8_e4m3},
    {nullptr, "float8_e5m2", DType::f8_e5m2},
    {nullptr, "float8_e4m3fnuz", DType::f8_e4m3fnuz},
    {nullptr, "float8_e5m2fnuz", DType::f8_e5m2fnuz},
    {nullptr, "float8_e8m0fnu", DType::f8_e8m0},
};

const Items* sequence_items(const Object& object) {
  const Object::Sequence* sequence = object.items();
  return sequence ? &sequence->items : nullptr;
}

Shape shape_of(Unpickler& vm, const Object& object, const char* what) {
  const Items* items = sequence_items(object);
  if (!items) vm.bad("the ", what, " of a tensor is ", object.kind_name(), ", not a tuple");
  if (items->size() > Shape::kMaxDims) {
    vm.bad("a tensor of ", items->size(), " dimensions, more than ", Shape::kMaxDims);
  }
  Shape shape;
  for (const Object& item : *items) {
    const int64_t* size = item.integer();
    if (!size || *size < 0) vm.bad("the ", what, " of a tensor is not of integers of 0 or more");
    shape.push_back(*size);
  }
  return shape;
}

/// Every element must lie in the storage; sums and products are checked.
void check_inside(Unpickler& vm, const Shape& shape, const Shape& strides, int64_t offset,
                  int64_t numel) {
  int64_t last = offset, elements = 1;
  bool empty = false, overflow = false;
  for (int d = 0; d < shape.size(); ++d) {
    empty |= shape[d] == 0;
    int64_t step = 0;
    overflow |= __builtin_mul_overflow(shape[d] - 1, strides[d], &step);
    overflow |= __builtin_add_overflow(last, step, &last);
    overflow |= __builtin_mul_overflow(elements, shape[d], &elements);
  }
  int64_t bytes;
  overflow |= __builtin_mul_overflow(elements, int64_t{16}, &bytes);
  if (empty) return;
  if (overflow || last >= numel) {
    vm.bad("a tensor ", shape, " with strides ", strides, " from element ", offset,
           " leads out of its storage of ", numel);
  }
}

/// (storage, offset, size, stride), and the dtype where it is not the storage's.
Object make_tensor(Unpickler& vm, const Items& arguments, size_t at_least,
                   std::optional<DType> dtype, bool requires_grad) {
  if (arguments.size() < at_least) {
    vm.bad("a tensor is made of ", arguments.size(), " arguments, not ", at_least);
  }
  const auto* storage = dynamic_cast<const StorageRef*>(arguments[0].internal());
  const int64_t* offset = arguments[1].integer();
  if (!storage || !offset || *offset < 0) vm.bad("a tensor is made without a storage and offset");
  auto tensor = std::make_shared<PendingTensor>();
  tensor->storage = storage->storage;
  tensor->dtype = dtype.value_or(storage->dtype);
  tensor->shape = shape_of(vm, arguments[2], "size");
  tensor->strides = shape_of(vm, arguments[3], "stride");
  tensor->requires_grad = requires_grad && is_differentiable(tensor->dtype);
  if (tensor->shape.size() != tensor->strides.size()) {
    vm.bad("a tensor ", tensor->shape, " has strides ", tensor->strides);
  }
  const int64_t width = info(tensor->dtype).bytes;
  const int64_t numel = storage->numel * info(storage->dtype).bytes / width;
  if (*offset > numel) vm.bad("a tensor begins at element ", *offset, " of ", numel);
  check_inside(vm, tensor->shape, tensor->strides, *offset, numel);
  tensor->offset = storage->first + *offset * width;
  return Object(std::shared_ptr<Object::Internal>(std::move(tensor)));
}

bool truth(const Object& object) {
  const bool* value = object.as<bool>();
  return value && *value;
}

/// complex32 begins as elements of 4 bytes.
Object make_half_complex(Unpickler& vm, const Items& arguments) {
  Object object = make_tensor(vm, arguments, 7, DType::u32, false);
  auto& tensor = *dynamic_cast<PendingTensor*>(object.internal());
  const auto& storage = *dynamic_cast<const StorageRef*>(arguments[0].internal());
  const int64_t numel = tensor.shape.numel();
  if (numel > storage.numel * info(storage.dtype).bytes / 4) {
    vm.bad("a tensor of complex32 repeats elements; it cannot be widened");
  }
  vm.spend_of(storage.storage, 4 * numel);
  if (tensor.shape.size() == Shape::kMaxDims) {
    vm.bad("a tensor of complex32 of more than ", Shape::kMaxDims - 1, " dimensions");
  }
  for (int64_t& stride : tensor.strides) {
    if (__builtin_mul_overflow(stride, 2, &stride)) vm.bad("a stride overflows 64 bits");
  }
  tensor.shape.push_back(2);
  tensor.strides.push_back(1);
  tensor.dtype = DType::f16;
  tensor.half_complex = true;
  tensor.requires_grad = truth(arguments[4]);
  return object;
}

Object rebuild_tensor(Unpickler& vm, const Items& a) { return make_tensor(vm, a, 4, {}, false); }

Object rebuild_tensor_v2(Unpickler& vm, const Items& a) {
  return make_tensor(vm, a, 6, {}, a.size() > 4 && truth(a[4]));
}

Object rebuild_tensor_v3(Unpickler& vm, const Items& a) {
  if (a.size() > 6 && dynamic_cast<const HalfComplexDType*>(a[6].internal())) {
    return make_half_complex(vm, a);
  }
  const DType* dtype = a.size() > 6 ? a[6].as<DType>() : nullptr;
  if (!dtype) vm.bad("a tensor is made without its dtype");
  return make_tensor(vm, a, 7, *dtype, truth(a[4]));
}

Object rebuild_parameter(Unpickler& vm, const Items& a) {
  const auto* data = a.size() < 2 ? nullptr : dynamic_cast<PendingTensor*>(a[0].internal());
  if (!data) vm.bad("a parameter is made without a tensor");
  auto parameter = std::make_shared<PendingTensor>(*data);
  parameter->requires_grad = truth(a[1]) && is_differentiable(data->dtype);
  return Object(std::shared_ptr<Object::Internal>(std::move(parameter)));
}

/// (function, class, arguments, state): the class is a tensor's.
Object rebuild_from_type(Unpickler& vm, const Items& a) {
  const auto* function = a.size() < 3 ? nullptr : dynamic_cast<PickleGlobal*>(a[0].internal());
  const Items* arguments = function ? sequence_items(a[2]) : nullptr;
  if (!arguments || !function->call || function->call == rebuild_from_type) {
    vm.bad("a tensor of a class of its own is made without a function of tensors");
  }
  return function->call(vm, *arguments);
}

/// Pairs, or nothing.
Object make_dict(Unpickler& vm, const Items& a, bool ordered) {
  const Object result = vm.pool().dict(ordered);
  if (a.empty()) return result;
  if (const Object::Dict* other = a[0].members()) {
    vm.spend(other->entries.size());
    result.members()->entries = other->entries;
    return result;
  }
  const Items* pairs = sequence_items(a[0]);
  if (!pairs) vm.bad("a dict is made of ", a[0].kind_name());
  vm.spend(pairs->size());
  for (const Object& pair : *pairs) {
    const Items* both = sequence_items(pair);
    if (!both || both->size() != 2) vm.bad("a dict is made of what is no pair");
    result.members()->entries.emplace_back((*both)[0], (*both)[1]);
  }
  return result;
}
Object make_ordered_dict(Unpickler& vm, const Items& a) { return make_dict(vm, a, true); }
Object make_plain_dict(Unpickler& vm, const Items& a) { return make_dict(vm, a, false); }
/// collections.defaultdict: what makes the missing values is left out.
Object make_default_dict(Unpickler& vm, const Items&) { return vm.pool().dict(); }
/// An object of TorchScript: its attributes come later.
Object make_attributes(Unpickler& vm, const Items&) { return vm.pool().dict(); }

Object make_sequence(Unpickler& vm, const Items& a, SequenceKind kind) {
  if (a.empty()) return vm.pool().sequence(kind);
  const Items* items = sequence_items(a[0]);
  if (!items) vm.bad("a sequence is made of ", a[0].kind_name());
  vm.spend(items->size());
  return vm.pool().sequence(kind, *items);
}
template <SequenceKind kind>
Object sequence_of(Unpickler& vm, const Items& a) {
  return make_sequence(vm, a, kind);
}

Object first_argument(Unpickler& vm, const Items& a) {
  if (a.empty()) vm.bad("a function is called without an argument");
  return a[0];
}

Object make_complex(Unpickler& vm, const Items& a) {
  const auto number = [&](size_t i) {
    if (i >= a.size()) return 0.0;
    if (const double* real = a[i].as<double>()) return *real;
    if (const int64_t* integer = a[i].integer()) return static_cast<double>(*integer);
    vm.bad("a complex number is made of ", a[i].kind_name());
  };
  return std::complex<double>(number(0), number(1));
}

/// The bytes whose values are the characters of a text: latin-1.
std::optional<std::string> latin1(std::string_view text) {
  std::string bytes;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<uint8_t>(text[i]);
    if (c < 0x80) {
      bytes += text[i];
    } else if ((c == 0xC2 || c == 0xC3) && i + 1 < text.size()) {
      bytes += static_cast<char>((c & 3) << 6 | (static_cast<uint8_t>(text[++i]) & 0x3F));
    } else {
      return std::nullopt;
    }
  }
  return bytes;
}

/// bytes, as protocol 2 spells them: _codecs.encode(text, "latin1").
Object make_bytes(Unpickler& vm, const Items& a, bool is_mutable) {
  if (a.empty()) return Object::Bytes{std::make_shared<const std::string>(), is_mutable};
  if (const auto* bytes = a[0].as<Object::Bytes>()) return Object::Bytes{bytes->value, is_mutable};
  if (a[0].text()) vm.spend(a[0].text()->size());
  auto value = a[0].text() ? latin1(*a[0].text()) : std::nullopt;
  if (!value) vm.bad("bytes are made of ", a[0].kind_name(), " that is not latin-1");
  return Object::Bytes{std::make_shared<const std::string>(std::move(*value)), is_mutable};
}
Object encode(Unpickler& vm, const Items& a) { return make_bytes(vm, a, false); }
Object make_bytearray(Unpickler& vm, const Items& a) { return make_bytes(vm, a, true); }

Object make_device(Unpickler& vm, const Items& a) {
  if (a.empty() || !a[0].text()) vm.bad("a device is made without its name");
  const int64_t* number = a.size() > 1 ? a[1].integer() : nullptr;
  return Object::DeviceName{number ? str(*a[0].text(), ":", *number) : *a[0].text()};
}

struct Function {
  const char* name;
  PickleGlobal::Call call;  // null for a class that is named and never called
};
constexpr Function kFunctions[] = {
    {"torch._utils._rebuild_tensor", rebuild_tensor},
    {"torch._utils._rebuild_tensor_v2", rebuild_tensor_v2},
    {"torch._utils._rebuild_tensor_v3", rebuild_tensor_v3},
    {"torch._utils._rebuild_parameter", rebuild_parameter},
    {"torch._utils._rebuild_parameter_with_state", rebuild_parameter},
    {"torch._tensor._rebuild_from_type", rebuild_from_type},
    {"torch._tensor._rebuild_from_type_v2", rebuild_from_type},
    {"torch.Tensor", nullptr},
    {"torch.nn.parameter.Parameter", nullptr},
    {"torch.nn.parameter.Buffer", nullptr},
    {"torch.Size", sequence_of<SequenceKind::size>},
    {"torch.device", make_device},
    {"torch.jit._pickle.build_intlist", first_argument},
    {"torch.jit._pickle.build_doublelist", first_argument},
    {"torch.jit._pickle.build_boollist", first_argument},
    {"torch.jit._pickle.build_tensorlist", first_argument},
    {"torch.jit._pickle.restore_type_tag", first_argument},
    {"collections.OrderedDict", make_ordered_dict},
    {"collections.defaultdict", make_default_dict},
    {"collections.Counter", make_plain_dict},
    {"_codecs.encode", encode},
    {"builtins.set", sequence_of<SequenceKind::set>},
    {"builtins.frozenset", sequence_of<SequenceKind::frozenset>},
    {"builtins.list", sequence_of<SequenceKind::list>},
    {"builtins.tuple", sequence_of<SequenceKind::tuple>},
    {"builtins.dict", make_plain_dict},
    {"builtins.complex", make_complex},
    {"builtins.bytearray", make_bytearray},
    {"builtins.bytes", encode},
    {"builtins.int", nullptr},
    {"builtins.float", nullptr},
    {"builtins.bool", nullptr},
    {"builtins.str", nullptr},
};

Object make_global(std::string name, PickleGlobal::Call call, std::optional<DType> storage = {}) {
  auto global = std::make_shared<PickleGlobal>();
  global->name = std::move(name);
  global->call = call;
  global->storage = storage;
  return std::shared_ptr<Object::Internal>(std::move(global));
}

}  // namespace

std::optional<Object> find_pickle_global(std::string_view module, std::string_view name) {
  if (module == "torch" && name == "complex32") {
    return Object(std::shared_ptr<Object::Internal>(std::make_shared<HalfComplexDType>()));
  }
  if (module == "torch" || module == "torch.cuda" || module == "torch.storage") {
    for (const NamedDType& row : kDTypes) {
      if (row.storage && name == row.storage) return make_global(std::string(name), {}, row.value);
      if (row.dtype && name == row.dtype && module == "torch") return Object(row.value);
    }
  }
  if (module == "__torch__" || module.starts_with("__torch__.")) {
    return make_global(str(module, ".", name), make_attributes);
  }
  const std::string full = str(module == "__builtin__" ? "builtins" : module, ".", name);
  for (const Function& row : kFunctions) {
    if (full == row.name) return make_global(full, row.call);
  }
  return std::nullopt;
}

const char* pickle_remedy(std::string_view name) {
  if (name.find("_rebuild_qtensor") != name.npos || name.find("torch.q") != name.npos) {
    return "PyTorch's quantized tensors are not supported; save them dequantized";
  }
  if (name.find("sparse") != name.npos) {
    return "sparse tensors are not supported; save them as dense ones";
  }
  if (name.starts_with("torch._utils._rebuild") || name.starts_with("torch._tensor._rebuild")) {
    return "tensors of this kind are not supported; save plain ones";
  }
  return "only tensors and plain containers are read, and nothing is run; save a state_dict()";
}

}  // namespace tallow
