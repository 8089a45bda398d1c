// Reading the files of llama.cpp before GGUF: a magic number, seven sizes, the vocabulary, and
// tensors one after the other to the end of the file.
#include "tallow/ggml_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/half.h"
#include "formats/byte_reader.h"
#include "formats/file_bytes.h"
#include "formats/gguf_bytes.h"
#include "tallow/error.h"

namespace tallow {
namespace {

constexpr uint32_t kGgml = 0x67676d6c, kGgmf = 0x67676d66, kGgjt = 0x67676a74;
constexpr uint64_t kAlignment = 32;  // of data, in ggjt

/// Block types, and the version of ggjt from which they are as GGUF has them: numbers that are f16
/// since, bytes that stay, and halves of bytes.
struct OldType {
  DType dtype;
  uint32_t since;
  int scales;  // f32
  int kept;
  int nibbles;  // bytes of two
  int bytes() const { return 4 * scales + kept + nibbles; }
};
constexpr OldType kOldTypes[] = {
    {DType::q4_0, 3, 1, 0, 16}, {DType::q4_1, 3, 2, 0, 16}, {DType::q8_0, 3, 1, 32, 0},
    {DType::q5_0, 2, 0, 6, 16}, {DType::q5_1, 2, 0, 8, 16},
};
/// Before, a byte held two elements in a row; since, one of each half of the block.
constexpr uint32_t kHalvesSince = 2;

const OldType* old_type(DType dtype, uint32_t version) {
  const auto found = std::ranges::find(kOldTypes, dtype, &OldType::dtype);
  return found != std::end(kOldTypes) && version < found->since ? &*found : nullptr;
}

int nibble(const std::byte* from, int element) {
  return std::to_integer<int>(from[element / 2]) >> 4 * (element % 2) & 15;
}

}  // namespace

class GgmlParser {
 public:
  explicit GgmlParser(GgmlFile& file) : file_(file), reader_(file.file().bytes(), file.path()) {}

  void run() {
    read_version();
    read_hyperparameters();
    read_vocabulary();
    std::vector<TensorInfo> tensors;
    while (reader_.remaining() > 0) tensors.push_back(read_tensor());
    file_.set_tensors(std::move(tensors));
  }

 private:
  void read_version();
  void read_hyperparameters();
  void read_vocabulary();
  TensorInfo read_tensor();
  void read_type(TensorInfo& t, const std::string& field, int64_t elements);

  GgmlFile& file_;
  ByteReader reader_;
  bool padded_ = false, scored_ = false;
  int64_t count_ = 0;
};

void GgmlParser::read_version() {
  const auto magic = reader_.read<uint32_t>("magic");
  if (magic == kGgml) {
    file_.format_ = "ggml";
    return;
  }
  if (magic != kGgmf && magic != kGgjt) {
    reader_.fail_at("magic", magic, " is none of ggml, ggmf and ggjt");
  }
  scored_ = true, padded_ = magic == kGgjt;
  const auto version = reader_.read<uint32_t>("version");
  if (version < 1 || version > (padded_ ? 3 : 1)) {
    reader_.fail_at("version", version, " is not known");
  }
  file_.version_ = padded_ ? version : 0;
  file_.format_ = str(padded_ ? "ggjt v" : "ggmf v", version);
}

void GgmlParser::read_hyperparameters() {
  GgmlFile::Hyperparameters& h = file_.hyperparameters_;
  const std::pair<const char*, int32_t*> fields[] = {
      {"n_vocab", &h.vocab},   {"n_embd", &h.embedding}, {"n_mult", &h.multiple},
      {"n_head", &h.heads},    {"n_layer", &h.layers},   {"n_rot", &h.rotary},
      {"ftype", &h.file_type},
  };
  for (const auto& [name, value] : fields) {
    *value = reader_.read<int32_t>(name);
    if (*value < 0) reader_.fail_at(name, *value, " is negative");
  }
}

void GgmlParser::read_vocabulary() {
  const auto count = static_cast<uint64_t>(file_.hyperparameters_.vocab);
  reader_.check_count(count, scored_ ? 8 : 4, "n_vocab");
  file_.vocabulary_.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    const std::string field = str("token ", i);
    const auto length = reader_.read<uint32_t>(field);
    GgmlFile::Token token{as_text(reader_.take(length, field)), 0};
    if (scored_) token.score = reader_.read<float>(field);
    file_.vocabulary_.push_back(token);
  }
}

void GgmlParser::read_type(TensorInfo& t, const std::string& field, int64_t elements) {
  const auto id = reader_.read<uint32_t>(field);
  t.dtype = dtype_from_gguf(id);
  if (!t.dtype) reader_.fail_at(field, "the type id ", id, " is unknown or was removed from ggml");
  const DTypeInfo& row = info(*t.dtype);
  t.type = row.name;
  int64_t block_bytes = row.bytes;
  if (const OldType* old = old_type(*t.dtype, file_.version_)) {
    t.type = str(row.name, " of ", file_.format_);
    if (!scored_) t.dtype = std::nullopt;
    block_bytes = old->bytes();
  }
  if (__builtin_mul_overflow(elements / row.block, block_bytes, &t.bytes)) {
    reader_.fail_at(field, "its size in bytes overflows 64 bits");
  }
  const int64_t last = t.shape.empty() ? 1 : t.shape.back();
  if (last % row.block != 0) {
    reader_.fail_at(field, "its rows of ", last, " elements are not whole ", row.name, " blocks");
  }
}

TensorInfo GgmlParser::read_tensor() {
  TensorInfo t;
  const std::string where = str("tensor ", count_++);
  const auto dims = reader_.read<uint32_t>(where);
  const auto length = reader_.read<uint32_t>(where);
  if (dims > 4) reader_.fail_at(where, dims, " dimensions, more than 4");
  const uint64_t type_at = reader_.offset();
  reader_.take(4, where);
  t.shape = Shape::filled(static_cast<int>(dims), 0);
  int64_t elements = 1;
  for (int d = static_cast<int>(dims) - 1; d >= 0; --d) {
    const auto size = reader_.read<int32_t>(where);
    if (size <= 0) reader_.fail_at(where, "the dimension ", size, " is not positive");
    if (__builtin_mul_overflow(elements, int64_t{size}, &elements)) {
      reader_.fail_at(where, "the product of its dimensions overflows 64 bits");
    }
    t.shape[d] = size;
  }
  t.name = std::string(as_text(reader_.take(length, where)));
  const std::string field = str("tensor ", quoted(t.name));
  const uint64_t after = reader_.offset();
  reader_.seek(type_at);
  read_type(t, field, elements);
  reader_.seek(after);
  if (padded_) reader_.take((kAlignment - after % kAlignment) % kAlignment, field);
  t.offset = static_cast<int64_t>(reader_.offset());
  reader_.take(static_cast<uint64_t>(t.bytes), field);
  return t;
}

Tensor GgmlFile::make(const TensorInfo& t) const {
  const OldType* old = old_type(*t.dtype, version_);
  if (!old) return TensorFile::make(t);
  const Tensor out = Tensor::empty(t.shape, *t.dtype);
  const std::byte* from = file().bytes().data() + t.offset;
  auto* to = static_cast<std::byte*>(out.raw());
  for (const std::byte* end = from + t.bytes; from < end;) {
    for (int i = 0; i < old->scales; ++i, from += 4, to += 2) {
      const auto scale = load<float>(from);
      const uint16_t half = f32_to_f16(scale);
      if (std::isinf(f16_to_f32(half))) {
        fail(path(), ": tensor ", quoted(t.name), ": a scale of ", scale, " is too large for f16");
      }
      std::memcpy(to, &half, 2);
    }
    std::memcpy(to, from, static_cast<size_t>(old->kept));
    from += old->kept, to += old->kept;
    for (int i = 0; i < old->nibbles; ++i) {
      const bool halves = version_ >= kHalvesSince;
      to[i] = halves ? from[i] : std::byte(nibble(from, i) | nibble(from, i + 16) << 4);
    }
    from += old->nibbles, to += old->nibbles;
  }
  return out;
}

std::shared_ptr<const GgmlFile> GgmlFile::parse(std::shared_ptr<const FileBytes> file) {
  std::shared_ptr<GgmlFile> result(new GgmlFile(std::move(file)));
  GgmlParser(*result).run();
  return result;
}

std::shared_ptr<const GgmlFile> GgmlFile::open(const std::string& path) {
  return parse(FileBytes::open(path));
}

std::shared_ptr<const GgmlFile> GgmlFile::from_memory(std::span<const std::byte> bytes,
                                                      std::string what) {
  return parse(FileBytes::copy(bytes, std::move(what)));
}

bool GgmlFile::recognizes(std::string_view text) {
  return text.starts_with("lmgg") || text.starts_with("fmgg") || text.starts_with("tjgg");
}

}  // namespace tallow
