// Fuzzes the safetensors reader and its tensors.
#include "tallow/error.h"
#include "tallow/safetensors.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto file = tallow::SafetensorsFile::from_memory(fuzz_bytes(data, size), "t");
    fuzz_read(*file);
  } catch (const tallow::Error&) {
  }
  return 0;
}

std::vector<std::string> fuzz_seeds() {
  std::vector<std::string> seeds;
  for (
      const char* json :
      {R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
       R"("b\u00e9":{"dtype":"I16","shape":[0],"data_offsets":[24,24],"more":[{"x":[1.5,null]}]}})",
       R"({"w":{"dtype":"F8_E8M0","shape":[24],"data_offsets":[0,24]}})",
       R"({"w":{"dtype":"F4","shape":[48],"data_offsets":[0,24]}}   )"}) {
    const uint64_t length = std::string_view(json).size();
    seeds.push_back(std::string(reinterpret_cast<const char*>(&length), 8) + json +
                    std::string(24, '\1'));
  }
  return seeds;
}
