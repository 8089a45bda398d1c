// Fuzzes the GGUF reader (versions 1 and 3, both byte orders), the accessors of its metadata, and
// its tensors.
#include <algorithm>

#include "tallow/error.h"
#include "tallow/gguf.h"
#include "target.h"

using tallow::GgufFile;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto file = GgufFile::from_memory(fuzz_bytes(data, size), "t");
    for (const auto& value : file->metadata()) {
      to_json(value, 16).dump();
      if (!value.is_array) continue;
      if (value.type == tallow::GgufType::string) file->strings(value.key);
      if (value.type == tallow::GgufType::f32) file->floats(value.key);
      if (value.type == tallow::GgufType::i32) file->integers(value.key);
    }
    fuzz_read(*file);
  } catch (const tallow::Error&) {
  }
  return 0;
}

/// A small file. Version 1 has counts and sizes of 32 bits.
std::string small_file(uint32_t version, bool big_endian) {
  const auto number = [big_endian](auto value) {
    std::string bytes(reinterpret_cast<const char*>(&value), sizeof value);
    if (big_endian) std::reverse(bytes.begin(), bytes.end());
    return bytes;
  };
  const auto count = [&](uint64_t n) {
    return version == 1 ? number(static_cast<uint32_t>(n)) : number(n);
  };
  const auto text = [&](std::string_view s) { return count(s.size()).append(s); };
  std::string s = "GGUF" + number(version) + count(2) + count(5);
  s += text("general.architecture") + number(uint32_t{8}) + text("llama");
  s += text("llama.block_count") + number(uint32_t{4}) + number(uint32_t{1});
  s += text("general.alignment") + number(uint32_t{4}) + number(uint32_t{32});
  s += text("tokens") + number(uint32_t{9}) + number(uint32_t{8}) + count(2) + text("a") +
       text("bc");
  s += text("scores") + number(uint32_t{9}) + number(uint32_t{6}) + count(2) + number(0.5f) +
       number(1.5f);
  s += text("token_embd.weight") + number(uint32_t{2}) + count(4) + count(2) + number(uint32_t{0}) +
       number(uint64_t{0});
  s += text("output.weight") + number(uint32_t{1}) + count(32) + number(uint32_t{8}) +
       number(uint64_t{32});
  s.append((32 - s.size() % 32) % 32, '\0');
  s.append(96, '\1');
  return s;
}

std::vector<std::string> fuzz_seeds() {
  return {small_file(3, false), small_file(3, true), small_file(1, false), small_file(1, true)};
}
