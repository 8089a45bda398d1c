// GGUF files, versions 1 to 3, of either byte order, whole or split: metadata and mapped tensors.
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tallow/json.h"
#include "tallow/tensor_file.h"

namespace tallow {

class OutputFile;

enum class GgufType : uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  array,
  u64,
  i64,
  f64,
};
std::string to_string(GgufType type);

/// One metadata entry. An array stays as bytes in the mapped file until it is asked for; those of a
/// big-endian file, and strings of version 1, are turned into what version 3 has.
struct GgufValue {
  std::string_view key;
  GgufType type = GgufType::u8;  ///< of the value, or of the elements of an array
  bool is_array = false;
  uint64_t count = 1;               ///< elements; 1 unless an array
  std::span<const std::byte> data;  ///< the elements as stored
};

/// An opened GGUF file. Views and spans that it returns live as long as it does. Accessors give
/// nothing for an absent key, and throw Error, naming file and key, for a value of another type.
class GgufFile final : public TensorFile {
 public:
  /// Maps and checks the whole header. Throws Error: `file: field: offset N: reason`. Of a model
  /// that is split into files, any one opens all: the tensors of each, and the metadata of the
  /// first.
  static std::shared_ptr<const GgufFile> open(const std::string& path);
  /// The same over a copy of `bytes`; `what` takes the place of the path.
  static std::shared_ptr<const GgufFile> from_memory(std::span<const std::byte> bytes,
                                                     std::string what);

  int version() const { return version_; }
  bool big_endian() const { return big_endian_; }
  /// The files of a split model, in order; none where there is one file.
  const std::vector<std::shared_ptr<const GgufFile>>& parts() const { return parts_; }
  int64_t alignment() const { return alignment_; }
  /// In the file's order.
  const std::vector<GgufValue>& metadata() const { return metadata_; }

  /// Asks the system to read the files ahead.
  void will_need() const;
  const GgufValue* find_value(std::string_view key) const;
  /// Any integer type.
  std::optional<int64_t> integer(std::string_view key) const;
  /// Any number type.
  std::optional<double> number(std::string_view key) const;
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string_view> string(std::string_view key) const;
  /// Arrays; empty when the key is absent.
  std::vector<std::string_view> strings(std::string_view key) const;
  std::span<const float> floats(std::string_view key) const;
  std::span<const int32_t> integers(std::string_view key) const;

 private:
  using TensorFile::TensorFile;
  friend class GgufParser;
  static std::shared_ptr<const GgufFile> parse(std::shared_ptr<const FileBytes> file);
  static std::shared_ptr<const GgufFile> join(const std::shared_ptr<const GgufFile>& part,
                                              int64_t count);
  Tensor make(const TensorInfo& info) const override;
  [[noreturn]] void wrong_type(const GgufValue& value, const char* wanted) const;
  const GgufValue* array(std::string_view key, GgufType type) const;
  std::span<const std::byte> aligned(const GgufValue& value) const;

  int version_ = 0;
  bool big_endian_ = false;
  int64_t alignment_ = 32;
  std::vector<GgufValue> metadata_;
  std::unordered_map<std::string_view, size_t> keys_;
  std::deque<std::string> converted_;  // values that do not stand in the file as version 3 has them
  std::vector<std::shared_ptr<const GgufFile>> parts_;
  mutable std::mutex copies_mutex_;
  mutable std::unordered_map<const std::byte*, std::vector<std::byte>> copies_;
};

/// Metadata to be written, in the order of the first call for a key; a later one takes its place.
/// Throws Error for an empty key.
class GgufMetadata {
 public:
  void set(const GgufValue& value);  ///< of any type, as another file has it
  void set_string(std::string_view key, std::string_view value);
  void set_boolean(std::string_view key, bool value);
  void set_u32(std::string_view key, uint32_t value);  ///< "general.alignment" is heeded
  void set_i32(std::string_view key, int32_t value);
  void set_u64(std::string_view key, uint64_t value);
  void set_i64(std::string_view key, int64_t value);
  void set_f32(std::string_view key, float value);
  void set_f64(std::string_view key, double value);
  void set_strings(std::string_view key, std::span<const std::string> values);
  void set_floats(std::string_view key, std::span<const float> values);
  void set_integers(std::string_view key, std::span<const int32_t> values);
  void erase(std::string_view key);
  bool contains(std::string_view key) const { return keys_.contains(std::string(key)); }

  /// The same as an opened file without tensors; `what` takes the place of its path.
  std::shared_ptr<const GgufFile> as_file(std::string what) const;

 private:
  friend class GgufWriter;
  struct Entry {
    std::string key, value;  // the value with its type, as it stands in the file
  };
  void put(std::string_view key, std::string value);
  std::string header(uint64_t tensors, bool big_endian = false) const;
  uint64_t alignment(const std::string& what) const;

  std::vector<Entry> entries_;
  std::unordered_map<std::string, size_t> keys_;
};

/// Writes a GGUF file, version 3: first its metadata and the list of its tensors, then their data
/// in that order, so that no more than one tensor need be in memory. The file takes its place when
/// finish() is called; without that nothing is left behind. Throws Error when it cannot be written.
///
///     GgufWriter out("model.gguf");
///     for (const GgufValue& value : in->metadata()) out.metadata().set(value);
///     for (const TensorInfo& t : in->tensors()) out.add_tensor(t.name, t.shape, *t.dtype);
///     for (const TensorInfo& t : in->tensors()) out.write(in->get(t.name));
///     out.finish();
class GgufWriter {
 public:
  /// `big_endian` files are for machines that store numbers so.
  explicit GgufWriter(const std::string& path, bool big_endian = false);
  ~GgufWriter();
  GgufWriter(const GgufWriter&) = delete;
  GgufWriter& operator=(const GgufWriter&) = delete;

  /// Written before the first data: throws Error after that.
  GgufMetadata& metadata();

  /// Announces a tensor, before any data is written. Throws Error for a name that occurs twice, an
  /// empty shape, and a dtype or row length that GGUF lacks.
  void add_tensor(std::string_view name, const Shape& shape, DType dtype);

  /// The next tensor's data; it must have the shape and dtype that were announced.
  void write(const Tensor& tensor);
  /// The next bytes of the tensors' data, little-endian: a part of a tensor, to its end at most, of
  /// whole elements or blocks.
  void write(std::span<const std::byte> bytes);
  /// Puts the file in place. Throws Error when data is missing.
  void finish();

 private:
  struct Planned {
    std::string name;
    Shape shape;
    DType dtype;
    int64_t bytes;
  };
  void write_header();
  void write_turned(DType dtype, std::span<const std::byte> bytes);
  void pad_to_alignment();
  const Planned& next(const char* what) const;

  std::unique_ptr<OutputFile> file_;
  std::string path_;
  bool big_endian_ = false;
  GgufMetadata metadata_;
  std::vector<Planned> tensors_;
  std::unordered_map<std::string, size_t> names_;
  uint64_t alignment_ = 32;
  uint64_t at_ = 0;      // bytes written
  size_t current_ = 0;   // the tensor whose data comes next
  int64_t written_ = 0;  // of its bytes
  bool header_done_ = false;
};

/// A metadata value as JSON. Arrays of more than `max_items` elements become
/// {"type", "count", "first"}, with the first `max_items` elements.
Json to_json(const GgufValue& value, uint64_t max_items);

}  // namespace tallow
