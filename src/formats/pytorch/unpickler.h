// A pickle machine that knows tensors and plain containers, and refuses everything else by name.
// Nothing is ever executed. Opcodes: Lib/pickletools.py of CPython.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "formats/byte_reader.h"
#include "formats/tensor_bytes.h"
#include "tallow/object.h"

namespace tallow {

/// Memory that tensors of a file share. The pickle says how large it is, the file where it stands.
struct PickledStorage {
  std::string key;
  DType dtype = DType::u8;  ///< as its first mention has it, for files of another byte order
  int64_t bytes = 0;
};

class StorageTable {
 public:
  /// The number of the storage `key`; none when it was mentioned with another size before.
  std::optional<size_t> add(const std::string& key, DType dtype, int64_t bytes);
  const std::vector<PickledStorage>& all() const { return all_; }

 private:
  std::vector<PickledStorage> all_;
  std::unordered_map<std::string, size_t> index_;
};

/// A storage, or a part of one, as elements of a dtype.
struct StorageRef final : Object::Internal {
  size_t storage = 0;
  DType dtype = DType::u8;
  int64_t first = 0;  ///< bytes
  int64_t numel = 0;
};

/// A tensor whose data is not looked at yet; it lies inside its storage.
struct PendingTensor final : Object::Internal {
  size_t storage = 0;
  DType dtype = DType::f32;
  int64_t offset = 0;  ///< bytes from the storage's start
  Shape shape, strides;
  bool requires_grad = false;
  /// complex32, of which there is no dtype: its parts are a last dimension of 2, in f16.
  bool half_complex = false;
};

/// torch.complex32.
struct HalfComplexDType final : Object::Internal {};

/// Owns the containers of one file while it is read: a damaged file's may contain themselves, or
/// nest deeper than destructors should recurse.
class ContainerPool {
 public:
  ContainerPool() = default;
  ~ContainerPool();
  ContainerPool(const ContainerPool&) = delete;
  ContainerPool& operator=(const ContainerPool&) = delete;
  Object sequence(Object::SequenceKind kind, Object::Items items = {});
  Object dict(bool ordered = false);
  /// Containers go on by themselves: they were found to be sound.
  void release();
  size_t containers() const { return sequences_.size() + dicts_.size(); }

 private:
  std::vector<std::shared_ptr<Object::Sequence>> sequences_;
  std::vector<std::shared_ptr<Object::Dict>> dicts_;
};

/// Runs one pickle. Errors read `file: field: offset N: reason`.
class Unpickler {
 public:
  Unpickler(ByteReader reader, std::string field, StorageTable& storages, ContainerPool& pool);
  /// The object, with StorageRef and PendingTensor in it; the cursor is behind the pickle then.
  Object run();
  const ByteReader& reader() const { return reader_; }

  template <class... T>
  [[noreturn]] void bad(const T&... reason) const {
    reader_.fail_at(field_, reason...);
  }
  ContainerPool& pool() { return pool_; }
  /// Counts items or bytes that are copied: a short pickle can ask for the same copy many times.
  void spend(size_t amount);
  /// The same for bytes of a storage that its tensors copy.
  void spend_of(size_t storage, int64_t bytes);

 private:
  void step(uint8_t opcode);
  bool step_value(uint8_t opcode);
  bool step_memo(uint8_t opcode);
  bool step_container(uint8_t opcode);
  bool step_call(uint8_t opcode);

  template <class T>
  T read() {
    return reader_.read<T>(field_);
  }
  std::string_view text(uint64_t bytes) { return as_text(reader_.take(bytes, field_)); }
  std::string_view line();
  Object integer(uint64_t bytes);
  void push(Object value) { stack_.push_back(std::move(value)); }
  Object pop();
  Object& top();
  Object::Items pop_to_mark();
  void remember(uint64_t slot);
  void recall(uint64_t slot);
  void extend(Object::Items items, Object::SequenceKind kind);
  void set_items(Object::Items items);
  void push_global(std::string_view module, std::string_view name);
  void push_storage(const Object& id);
  Object call(const Object& callable, const Object& arguments);
  void build(const Object& state);

  ByteReader reader_;
  std::string field_;
  StorageTable& storages_;
  ContainerPool& pool_;
  size_t length_;                               // of the pickle, at most: bounds the memo
  size_t budget_;                               // of copies
  std::unordered_map<size_t, int64_t> copied_;  // bytes by storage
  std::vector<Object> stack_, memo_;
  std::vector<size_t> marks_;
};

/// What a pickle may name: how to call it, or the dtype of a storage's class.
struct PickleGlobal final : Object::Internal {
  using Call = Object (*)(Unpickler&, const Object::Items& arguments);
  std::string name;
  Call call = nullptr;
  std::optional<DType> storage;  ///< of a storage's class; u8 for one without a type
};

/// The value of a global; none for one that is refused.
std::optional<Object> find_pickle_global(std::string_view module, std::string_view name);
/// What to do about one that is refused.
const char* pickle_remedy(std::string_view name);

/// Opens a file's tensors in place of what stands for them, and checks that containers neither
/// contain themselves nor nest too deeply. `open` gives the tensor.
using OpenPending = std::function<Tensor(const PendingTensor&)>;
void resolve_pickle(Object& root, const std::string& what, const OpenPending& open);

}  // namespace tallow
