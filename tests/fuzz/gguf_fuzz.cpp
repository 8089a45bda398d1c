// Fuzzes the GGUF reader, the accessors of its metadata, and its tensors.
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
    for (const auto& t : file->tensors()) {
      if (!t.dtype) continue;
      const auto tensor = file->get(t.name);
      const auto* bytes = static_cast<const volatile uint8_t*>(tensor.raw());
      for (int64_t i = 0; i < tensor.nbytes(); ++i) (void)bytes[i];
    }
  } catch (const tallow::Error&) {
  }
  return 0;
}

std::vector<std::string> fuzz_seeds() {
  const auto number = [](auto value) {
    return std::string(reinterpret_cast<const char*>(&value), sizeof value);
  };
  const auto text = [&](std::string_view s) { return number(uint64_t{s.size()}).append(s); };
  std::string s = "GGUF" + number(uint32_t{3}) + number(uint64_t{2}) + number(uint64_t{5});
  s += text("general.architecture") + number(uint32_t{8}) + text("llama");
  s += text("llama.block_count") + number(uint32_t{4}) + number(uint32_t{1});
  s += text("general.alignment") + number(uint32_t{4}) + number(uint32_t{32});
  s += text("tokens") + number(uint32_t{9}) + number(uint32_t{8}) + number(uint64_t{2}) +
       text("a") + text("bc");
  s += text("scores") + number(uint32_t{9}) + number(uint32_t{6}) + number(uint64_t{2}) +
       number(0.5f) + number(1.5f);
  s += text("token_embd.weight") + number(uint32_t{2}) + number(uint64_t{4}) + number(uint64_t{2}) +
       number(uint32_t{0}) + number(uint64_t{0});
  s += text("output.weight") + number(uint32_t{1}) + number(uint64_t{32}) + number(uint32_t{8}) +
       number(uint64_t{32});
  s.append((32 - s.size() % 32) % 32, '\0');
  s.append(96, '\1');
  return {s};
}
