// The two forms of PyTorch's files around their pickles, and the tensors' names.
#include <algorithm>
#include <cstring>

#include "core/half.h"
#include "formats/file_bytes.h"
#include "formats/pytorch/unpickler.h"
#include "formats/zip/zip_reader.h"
#include "tallow/error.h"
#include "tallow/pytorch.h"

namespace tallow {
namespace {

// 0x1950a86a20f9469cfc6c, as a pickle has it.
constexpr std::string_view kMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
constexpr int64_t kProtocol = 1001;

/// The tensors of an object by their way to it.
class Flattener {
 public:
  Flattener(const std::string& path, size_t file_bytes)
      : path_(path), budget_(64 * file_bytes + (1 << 20)) {}

  void visit(const Object& object, const std::string& name) {
    if (const Tensor* tensor = object.tensor()) {
      found.emplace_back(name.empty() ? "data" : name, *tensor);
    } else if (const Object::Sequence* sequence = object.items()) {
      for (size_t i = 0; i < sequence->items.size(); ++i) {
        visit_child(sequence->items[i], name, [&] { return str(i); });
      }
    } else if (const Object::Dict* dict = object.members()) {
      for (const auto& [key, value] : dict->entries) {
        visit_child(value, name, [&] { return key_text(key); });
      }
    }
  }
  std::vector<std::pair<std::string, Tensor>> found;

 private:
  static std::string key_text(const Object& key) {
    if (const std::string* text = key.text()) return *text;
    const int64_t* integer = key.integer();
    return integer ? str(*integer) : key.kind_name();
  }
  /// Containers that are shared are found by each way to them: a short file can have many.
  void spend(size_t amount) {
    if (amount > budget_) {
      fail(path_, ": containers share others so often that their tensors have too many names");
    }
    budget_ -= amount;
  }
  template <class Key>
  void visit_child(const Object& child, const std::string& name, const Key& key) {
    spend(1);
    if (!child.tensor() && !child.items() && !child.members()) return;
    std::string full = name;
    if (!full.empty()) full += '.';
    full += key();
    spend(full.size());
    visit(child, full);
  }

  const std::string& path_;
  size_t budget_;
};

}  // namespace

class PytorchParser {
 public:
  explicit PytorchParser(std::shared_ptr<const FileBytes> file) : file_(std::move(file)) {}

  Object run() {
    const std::string_view text = as_text(file_->bytes());
    if (text.empty()) fail(file_->path(), ": the file is empty");
    if (ZipReader::is_zip(text)) return read_zip();
    if (text.starts_with('\x80')) return read_stream();
    fail(file_->path(), ": magic: offset 0: this is not a file of torch.save");
  }

  /// The tensors of TorchScript's constants, which its code knows by number.
  std::vector<std::pair<std::string, Tensor>> constants;

 private:
  /// Where each storage's bytes stand.
  using Storages = std::vector<std::shared_ptr<Buffer>>;

  Object read_zip() {
    const ZipReader zip(file_);
    const ZipEntry* data = nullptr;
    for (const ZipEntry& entry : zip.entries()) {
      const bool named = entry.name == "data.pkl" || entry.name.ends_with("/data.pkl");
      if (named && (!data || entry.name.size() < data->name.size())) data = &entry;
    }
    if (!data) fail(file_->path(), ": zip directory: offset 0: there is no data.pkl in it");
    const std::string folder = data->name.substr(0, data->name.size() - 8);
    if (const ZipEntry* order = zip.find(folder + "byteorder")) {
      const auto bytes = zip.open(*order);
      swapped_ = as_text({bytes->data(), static_cast<size_t>(bytes->bytes())}) == "big";
    }
    if (const ZipEntry* entry = zip.find(folder + "constants.pkl")) {
      const Object list = read_record(zip, *entry, folder + "constants/");
      const Object::Sequence* items = list.items();
      for (size_t i = 0; items && i < items->items.size(); ++i) {
        const Tensor* tensor = items->items[i].tensor();
        if (tensor) constants.emplace_back(str("CONSTANTS.c", i), *tensor);
      }
    }
    return read_record(zip, *data, folder + "data/");
  }

  /// A pickle in the archive, whose storages are the entries of a folder.
  Object read_record(const ZipReader& zip, const ZipEntry& entry, const std::string& folder) {
    const auto bytes = zip.open(entry);
    // Offsets in messages are those in the file, where it has the pickle as it is.
    const uint64_t begin = zip.is_stored(entry) ? zip.data_offset(entry) : 0;
    const ByteSpan whole = zip.is_stored(entry)
                               ? file_->bytes().first(begin + entry.size)
                               : ByteSpan(bytes->data(), static_cast<size_t>(entry.size));
    StorageTable storages;
    ContainerPool pool;
    const std::string field = entry.name;
    Unpickler pickle(ByteReader(whole, file_->path(), begin), field, storages, pool);
    Object root = pickle.run();
    Storages opened(storages.all().size());
    const auto open = [&](const PendingTensor& tensor) {
      auto& buffer = opened[tensor.storage];
      const PickledStorage& storage = storages.all()[tensor.storage];
      if (!buffer) buffer = open_record(zip, folder + storage.key, storage, tensor.dtype);
      return make(tensor, buffer);
    };
    resolve_pickle(root, str(file_->path(), ": ", field), open);
    pool.release();
    return root;
  }

  std::shared_ptr<Buffer> open_record(const ZipReader& zip, const std::string& name,
                                      const PickledStorage& storage, DType dtype) {
    if (storage.bytes == 0) return Buffer::allocate(0);
    const ZipEntry* entry = zip.find(name);
    if (!entry) fail(file_->path(), ": zip entry ", quoted(name), ": offset 0: is missing");
    if (entry->size != static_cast<uint64_t>(storage.bytes)) {
      fail(file_->path(), ": zip entry ", quoted(name), ": offset ", entry->header, ": holds ",
           entry->size, " bytes, but the pickle says ", storage.bytes);
    }
    return usable(zip.open(*entry), storage, dtype);
  }

  /// Aligned and in the machine's byte order: itself, or a copy.
  std::shared_ptr<Buffer> usable(std::shared_ptr<Buffer> buffer, const PickledStorage& storage,
                                 DType dtype) const {
    constexpr uintptr_t kWidest = 16;
    const bool typed = storage.dtype != DType::u8;
    const auto alignment = typed ? static_cast<uintptr_t>(info(storage.dtype).bytes) : kWidest;
    const int width = number_bytes(typed ? storage.dtype : dtype);
    const bool swap = swapped_ && width > 1;
    if (!swap && reinterpret_cast<uintptr_t>(buffer->data()) % alignment == 0) return buffer;
    auto copy = Buffer::allocate(buffer->bytes());
    std::memcpy(copy->data(), buffer->data(), static_cast<size_t>(buffer->bytes()));
    if (swap) swap_bytes({copy->data(), static_cast<size_t>(copy->bytes())}, width);
    return copy;
  }

  /// Pairs of f16 as c64.
  static Tensor widened(const Tensor& pairs) {
    const Shape& shape = pairs.shape();
    const Shape elements(std::span<const int64_t>(shape.begin(), shape.end() - 1));
    const Tensor out = Tensor::empty(elements, DType::c64);
    auto* to = static_cast<float*>(out.raw());
    give_bytes(pairs, [&](std::span<const std::byte> bytes) {
      for (size_t at = 0; at < bytes.size(); at += 2) {
        uint16_t half;
        std::memcpy(&half, bytes.data() + at, 2);
        *to++ = f16_to_f32(half);
      }
    });
    return out;
  }

  static Tensor make(const PendingTensor& tensor, std::shared_ptr<Buffer> buffer) {
    Tensor made(std::move(buffer), tensor.offset, tensor.shape, tensor.strides, tensor.dtype);
    if (tensor.half_complex) made = widened(made);
    if (tensor.requires_grad) made.requires_grad_();
    return made;
  }

  /// Pickles of a magic number, the protocol, the system, the object and the storages' keys; then
  /// each storage, with its number of elements before it.
  Object read_stream() {
    StorageTable none;
    ContainerPool scratch, pool;
    ByteReader reader(file_->bytes(), file_->path());
    const auto next = [&](const char* field, StorageTable& storages, ContainerPool& containers) {
      Unpickler pickle(reader, field, storages, containers);
      Object object = pickle.run();
      reader = pickle.reader();
      return object;
    };
    const Object magic = next("magic", none, scratch);
    const auto* number = magic.as<Object::BigInteger>();
    if (!number || *number->value != kMagic) {
      reader.fail_at("magic", "this is a pickle, but not one of torch.save");
    }
    const Object protocol = next("protocol", none, scratch);
    if (!protocol.integer() || *protocol.integer() != kProtocol) {
      reader.fail_at("protocol", "is not ", kProtocol);
    }
    const Object system = next("sys_info", none, scratch);
    const Object* little = system.members() ? system.members()->find("little_endian") : nullptr;
    const bool* is_little = little ? little->as<bool>() : nullptr;
    swapped_ = is_little && !*is_little;

    StorageTable storages;
    Object root = next("object", storages, pool);
    const Object keys = next("storage keys", none, scratch);
    const Storages buffers = read_storages(reader, keys, storages);
    resolve_pickle(root, str(file_->path(), ": object"), [&](const PendingTensor& tensor) {
      const auto& buffer = buffers[tensor.storage];
      if (!buffer) {
        reader.fail_at("storages", "there is none of the key ",
                       quoted(storages.all()[tensor.storage].key));
      }
      return make(tensor, buffer);
    });
    pool.release();
    return root;
  }

  Storages read_storages(ByteReader& reader, const Object& keys, const StorageTable& storages) {
    std::unordered_map<std::string_view, size_t> numbers;
    for (size_t i = 0; i < storages.all().size(); ++i) numbers[storages.all()[i].key] = i;
    Storages buffers(storages.all().size());
    const Object::Sequence* list = keys.items();
    if (!list) reader.fail_at("storage keys", "are ", keys.kind_name(), ", not a list");
    for (const Object& key : list->items) {
      const std::string* name = key.text();
      const auto found = name ? numbers.find(*name) : numbers.end();
      if (found == numbers.end()) reader.fail_at("storages", "a key is no storage's of the object");
      const PickledStorage& storage = storages.all()[found->second];
      const auto count = reader.read<int64_t>("storage");
      int64_t bytes;
      if (__builtin_mul_overflow(swapped_ ? __builtin_bswap64(count) : count,
                                 int64_t{info(storage.dtype).bytes}, &bytes) ||
          bytes != storage.bytes) {
        reader.fail_at("storage", quoted(*name), " has ", count, " elements, but the pickle says ",
                       storage.bytes, " bytes");
      }
      const ByteSpan data = reader.take(static_cast<uint64_t>(bytes), "storage");
      auto buffer = Buffer::wrap(
          const_cast<std::byte*>(data.data()), bytes, std::const_pointer_cast<FileBytes>(file_),
          file_->is_mapped() ? Buffer::Kind::mapped : Buffer::Kind::borrowed);
      buffers[found->second] = usable(std::move(buffer), storage, storage.dtype);
    }
    return buffers;
  }

  std::shared_ptr<const FileBytes> file_;
  bool swapped_ = false;
};

std::shared_ptr<const PytorchFile> PytorchFile::parse(std::shared_ptr<const FileBytes> file) {
  std::shared_ptr<PytorchFile> result(new PytorchFile(file));
  PytorchParser parser(file);
  result->root_ = parser.run();
  Flattener flat(file->path(), file->bytes().size());
  flat.visit(result->root_, "");
  result->named_ = std::move(flat.found);
  for (auto& constant : parser.constants) result->named_.push_back(std::move(constant));
  std::vector<TensorInfo> tensors;
  tensors.reserve(result->named_.size());
  const std::byte* start = file->bytes().data();
  for (const auto& [name, tensor] : result->named_) {
    TensorInfo t;
    t.name = name;
    t.shape = tensor.shape();
    t.dtype = tensor.dtype();
    t.type = to_string(tensor.dtype());
    t.bytes = tensor.nbytes();
    const auto* data = static_cast<const std::byte*>(tensor.raw());
    if (data >= start && data < start + file->bytes().size()) t.offset = data - start;
    tensors.push_back(std::move(t));
  }
  result->set_tensors(std::move(tensors));
  return result;
}

std::shared_ptr<const PytorchFile> PytorchFile::open(const std::string& path) {
  return parse(FileBytes::open(path));
}

std::shared_ptr<const PytorchFile> PytorchFile::from_memory(std::span<const std::byte> bytes,
                                                            std::string what) {
  return parse(FileBytes::copy(bytes, std::move(what)));
}

Tensor PytorchFile::make(const TensorInfo& tensor) const {
  return named_[static_cast<size_t>(&tensor - tensors().data())].second;
}

}  // namespace tallow
