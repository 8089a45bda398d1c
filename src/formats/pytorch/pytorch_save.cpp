// Writes PyTorch's zip form: a pickle of protocol 2, and an entry for each storage.
#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <unordered_map>

#include "formats/pytorch/pytorch_plan.h"
#include "formats/tensor_bytes.h"
#include "formats/zip/zip_writer.h"
#include "tallow/error.h"
#include "tallow/pytorch.h"

namespace tallow {
namespace {

constexpr int kDeepest = 500;

struct TorchName {
  DType dtype;
  const char* name;
  const char* storage;  // null where tensors name their dtype beside an untyped storage
};
constexpr TorchName kNames[] = {
    {DType::f64, "float64", "DoubleStorage"},
    {DType::f32, "float32", "FloatStorage"},
    {DType::f16, "float16", "HalfStorage"},
    {DType::bf16, "bfloat16", "BFloat16Storage"},
    {DType::f8_e4m3, "float8_e4m3fn", nullptr},
    {DType::f8_e5m2, "float8_e5m2", nullptr},
    {DType::f8_e4m3fnuz, "float8_e4m3fnuz", nullptr},
    {DType::f8_e5m2fnuz, "float8_e5m2fnuz", nullptr},
    {DType::f8_e8m0, "float8_e8m0fnu", nullptr},
    {DType::i8, "int8", "CharStorage"},
    {DType::i16, "int16", "ShortStorage"},
    {DType::i32, "int32", "IntStorage"},
    {DType::i64, "int64", "LongStorage"},
    {DType::u8, "uint8", "ByteStorage"},
    {DType::u16, "uint16", nullptr},
    {DType::u32, "uint32", nullptr},
    {DType::u64, "uint64", nullptr},
    {DType::boolean, "bool", "BoolStorage"},
    {DType::c64, "complex64", "ComplexFloatStorage"},
    {DType::c128, "complex128", "ComplexDoubleStorage"},
};

const TorchName& torch_name(DType dtype, const std::string& path) {
  for (const TorchName& row : kNames) {
    if (row.dtype == dtype) return row;
  }
  fail(path, ": PyTorch has no ", dtype, "; call .to(f32) first, or write another format");
}

/// The part of a buffer that tensors of one dtype use: what is written of it.
struct Storage {
  std::string key;
  std::shared_ptr<Buffer> buffer;
  DType dtype;
  int64_t begin, end;
};

class Storages {
 public:
  explicit Storages(const std::string& path) : path_(path) {}

  /// Notes the tensors of an object.
  void visit(const Object& object, int depth = 0) {
    if (depth > kDeepest) fail(path_, ": containers nest deeper than ", kDeepest);
    if (const Tensor* tensor = object.tensor()) return add(*tensor);
    if (const Object::Sequence* sequence = object.items()) {
      if (!seen_.emplace(sequence, true).second) return;
      for (const Object& item : sequence->items) visit(item, depth + 1);
    } else if (const Object::Dict* dict = object.members()) {
      if (!seen_.emplace(dict, true).second) return;
      for (const auto& [key, value] : dict->entries) {
        visit(key, depth + 1);
        visit(value, depth + 1);
      }
    }
  }
  const Storage& of(const Tensor& tensor) const {
    return all_[index_.at({tensor.buffer().get(), tensor.dtype()})];
  }
  const std::vector<Storage>& all() const { return all_; }

 private:
  void add(const Tensor& tensor) {
    torch_name(tensor.dtype(), path_);
    const auto [found, added] =
        index_.emplace(std::pair(tensor.buffer().get(), tensor.dtype()), all_.size());
    int64_t last = 0;
    for (int d = 0; d < tensor.dim(); ++d) last += (tensor.shape()[d] - 1) * tensor.strides()[d];
    const int64_t begin = tensor.offset();
    const int64_t end =
        tensor.numel() == 0 ? begin : begin + (last + 1) * info(tensor.dtype()).bytes;
    if (added) {
      all_.push_back({str(all_.size()), tensor.buffer(), tensor.dtype(), begin, end});
    }
    Storage& storage = all_[found->second];
    storage.begin = std::min(storage.begin, begin);
    storage.end = std::max(storage.end, end);
  }

  const std::string& path_;
  std::vector<Storage> all_;
  std::map<std::pair<const Buffer*, DType>, size_t> index_;
  std::unordered_map<const void*, bool> seen_;
};

/// A tensor of a storage, as the pickle says it.
struct Layout {
  std::string key;
  int64_t bytes, offset;  // of the storage; in elements
  Shape shape, strides;
  DType dtype;
  bool requires_grad;
};

class Pickler {
 public:
  Pickler(const Storages& storages, const std::string& path) : storages_(storages), path_(path) {}

  std::string run(const Object& root) {
    out_ = "\x80\x02";
    write(root);
    return out_ + '.';
  }
  /// A dict of tensors, each with a storage of its own, whose key is its number.
  std::string run(const std::vector<PlannedTensor>& tensors) {
    out_ = "\x80\x02}(";
    for (size_t i = 0; i < tensors.size(); ++i) {
      const PlannedTensor& t = tensors[i];
      text(t.name);
      torch_name(t.dtype, path_);
      write_layout({str(i), storage_bytes(t.dtype, t.shape.numel()), 0, t.shape,
                    contiguous_strides(t.shape), t.dtype, false});
    }
    return out_ + "u.";
  }

 private:
  template <class T>
  void raw(T value) {
    char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof bytes);
    out_.append(bytes, sizeof bytes);
  }

  void integer(int64_t value) {
    if (value >= 0 && value < 256) {
      out_ += 'K';
      raw(static_cast<uint8_t>(value));
    } else if (value == static_cast<int32_t>(value)) {
      out_ += 'J';
      raw(static_cast<int32_t>(value));
    } else {
      out_ += "\x8a\x08";
      raw(value);
    }
  }

  void text(const std::string& value) {
    if (value.size() > 0xFFFFFFFF) fail(path_, ": a text is longer than 4 GiB");
    out_ += 'X';
    raw(static_cast<uint32_t>(value.size()));
    out_ += value;
  }

  void big(const std::string& digits) {
    const bool small = digits.size() < 256;
    out_ += small ? '\x8a' : '\x8b';  // the longer form is not for torch.load(weights_only=True)
    if (small) {
      raw(static_cast<uint8_t>(digits.size()));
    } else {
      raw(static_cast<uint32_t>(digits.size()));
    }
    out_ += digits;
  }

  void put(uint32_t slot) {
    out_ += 'r';
    raw(slot);
  }
  void get(uint32_t slot) {
    out_ += 'j';
    raw(slot);
  }

  void global(const std::string& name) {
    const auto [found, added] = globals_.emplace(name, slots_);
    if (!added) return get(found->second);
    out_ += 'c' + name + '\n';
    put(slots_++);
  }
  void call(const std::string& name, const Object& argument) {
    global(name);
    write(argument);
    out_ += "\x85R";  // a tuple of one
  }
  /// bytes have no opcode in protocol 2; their values as characters do.
  void bytes(const std::string& value) {
    std::string characters;
    for (const char c : value) {
      const auto b = static_cast<uint8_t>(c);
      if (b >= 0x80) characters += static_cast<char>(0xC0 | b >> 6);
      characters += static_cast<char>(b < 0x80 ? b : (0x80 | (b & 0x3F)));
    }
    global("_codecs\nencode");
    text(characters);
    text("latin1");
    out_ += "\x86R";
  }

  void write(const Object& object) {
    if (object.is_none()) out_ += 'N';
    if (const bool* value = object.as<bool>()) out_ += *value ? '\x88' : '\x89';
    if (const int64_t* value = object.integer()) integer(*value);
    if (const double* value = object.as<double>()) real(*value);
    if (const auto* value = object.as<std::complex<double>>()) {
      global("__builtin__\ncomplex");
      real(value->real());
      real(value->imag());
      out_ += "\x86R";
    }
    if (const std::string* value = object.text()) text(*value);
    if (const auto* value = object.as<Object::BigInteger>()) big(*value->value);
    if (const DType* dtype = object.as<DType>()) {
      global(str("torch\n", torch_name(*dtype, path_).name));
    }
    if (const auto* device = object.as<Object::DeviceName>()) {
      call("torch\ndevice", device->name);
    }
    if (const auto* value = object.as<Object::Bytes>()) write_bytes(*value);
    if (const Tensor* value = object.tensor()) write_tensor(*value);
    if (const Object::Sequence* sequence = object.items()) write_sequence(*sequence);
    if (const Object::Dict* dict = object.members()) write_dict(*dict);
  }

  void real(double value) {
    out_ += 'G';
    raw(__builtin_bswap64(std::bit_cast<uint64_t>(value)));
  }

  void write_bytes(const Object::Bytes& value) {
    if (!value.is_mutable) return bytes(*value.value);
    global("__builtin__\nbytearray");
    bytes(*value.value);
    out_ += "\x85R";
  }

  void items(const Object::Items& list, char end) {
    out_ += '(';
    for (const Object& item : list) write(item);
    out_ += end;
  }

  void write_sequence(const Object::Sequence& sequence) {
    using enum Object::SequenceKind;
    if (recall(&sequence)) return;
    switch (sequence.kind) {
      case tuple: items(sequence.items, 't'); break;
      case list:
        out_ += ']';
        remember(&sequence);
        return items(sequence.items, 'e');
      case size:
      case set:
      case frozenset:
        global(sequence.kind == size  ? "torch\nSize"
               : sequence.kind == set ? "__builtin__\nset"
                                      : "__builtin__\nfrozenset");
        if (sequence.kind != size) out_ += ']';
        items(sequence.items, sequence.kind == size ? 't' : 'e');
        out_ += "\x85R";
        break;
    }
    remember(&sequence);
  }

  void write_dict(const Object::Dict& dict) {
    if (recall(&dict)) return;
    if (dict.ordered) {
      ordered_dict();
    } else {
      out_ += '}';
    }
    remember(&dict);
    out_ += '(';
    for (const auto& [key, value] : dict.entries) {
      write(key);
      write(value);
    }
    out_ += 'u';
  }

  void ordered_dict() {
    global("collections\nOrderedDict");
    out_ += ")R";
  }

  bool recall(const void* container) {
    const auto found = containers_.find(container);
    if (found == containers_.end()) return false;
    get(found->second);
    return true;
  }
  void remember(const void* container) {
    containers_.emplace(container, slots_);
    put(slots_++);
  }

  void sizes(const Shape& shape) {
    out_ += '(';
    for (const int64_t size : shape) integer(size);
    out_ += 't';
  }

  /// torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks), and v3,
  /// which has the dtype too.
  void write_tensor(const Tensor& tensor) {
    const Storage& storage = storages_.of(tensor);
    const int64_t width = info(tensor.dtype()).bytes;
    write_layout({storage.key, storage.end - storage.begin,
                  (tensor.offset() - storage.begin) / width, tensor.shape(), tensor.strides(),
                  tensor.dtype(), tensor.requires_grad()});
  }

  void write_layout(const Layout& t) {
    const TorchName& name = torch_name(t.dtype, path_);
    global(name.storage ? "torch._utils\n_rebuild_tensor_v2" : "torch._utils\n_rebuild_tensor_v3");
    out_ += "((";
    text("storage");
    global(str(name.storage ? "torch\n" : "torch.storage\n",
               name.storage ? name.storage : "UntypedStorage"));
    text(t.key);
    text("cpu");
    integer(name.storage ? t.bytes / info(t.dtype).bytes : t.bytes);
    out_ += "tQ";
    integer(t.offset);
    sizes(t.shape);
    sizes(t.strides);
    out_ += t.requires_grad ? '\x88' : '\x89';
    ordered_dict();
    if (!name.storage) global(str("torch\n", name.name));
    out_ += "tR";
  }

  const Storages& storages_;
  const std::string& path_;
  std::string out_;
  uint32_t slots_ = 0;
  std::unordered_map<std::string, uint32_t> globals_;
  std::unordered_map<const void*, uint32_t> containers_;
};

void add_pickle(ZipWriter& zip, const std::string& pickle) {
  zip.add("archive/data.pkl", pickle);
  zip.add("archive/.format_version", "1");
  zip.add("archive/.storage_alignment", "64");
  zip.add("archive/byteorder", "little");
}

void finish(ZipWriter& zip) {
  zip.add("archive/version", "3\n");
  zip.finish();
}

}  // namespace

void save_pytorch(const std::string& path, const Object& object) {
  Storages storages(path);
  storages.visit(object);
  ZipWriter zip(path);
  add_pickle(zip, Pickler(storages, path).run(object));
  for (const Storage& storage : storages.all()) {
    zip.add(str("archive/data/", storage.key), [&](const ByteSink& sink) {
      sink({storage.buffer->data() + storage.begin,
            static_cast<size_t>(storage.end - storage.begin)});
    });
  }
  finish(zip);
}

void save_pytorch(const std::vector<PlannedTensor>& tensors, const std::string& path) {
  ZipWriter zip(path);
  add_pickle(zip, Pickler(Storages(path), path).run(tensors));
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Tensor tensor = tensors[i].make();
    zip.add(str("archive/data/", i), [&](const ByteSink& sink) { give_bytes(tensor, sink); });
  }
  finish(zip);
}

}  // namespace tallow
