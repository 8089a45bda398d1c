// Fuzzes the reader of the files before GGUF, and their tensors.
#include "tallow/error.h"
#include "tallow/ggml_file.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto file = tallow::GgmlFile::from_memory(fuzz_bytes(data, size), "t");
    fuzz_read(*file);
  } catch (const tallow::Error&) {
  }
  return 0;
}

std::vector<std::string> fuzz_seeds() {
  const auto number = [](auto value) {
    return std::string(reinterpret_cast<const char*>(&value), sizeof value);
  };
  std::vector<std::string> seeds;
  for (const uint32_t version : {0u, 1u, 3u}) {
    std::string s = number(version == 0 ? 0x67676d6cu : 0x67676a74u);
    if (version > 0) s += number(version);
    for (const int32_t value : {2, 64, 256, 4, 1, 16, 1}) s += number(value);
    for (const char* token : {"<s>", "ab"}) {
      s += number(static_cast<uint32_t>(std::string_view(token).size())) + token;
      if (version > 0) s += number(-1.5f);
    }
    for (const uint32_t type : {0u, 2u}) {
      s += number(uint32_t{1}) + number(uint32_t{2}) + number(type) + number(int32_t{32}) + "w" +
           static_cast<char>('0' + type);
      if (version > 0) s.append((32 - s.size() % 32) % 32, '\0');
      s.append(type == 0 ? 128 : version == 3 ? 18 : 20, '\1');
    }
    seeds.push_back(s);
  }
  return seeds;
}
