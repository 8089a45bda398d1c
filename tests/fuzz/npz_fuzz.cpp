// Fuzzes the reader of zip archives, stored and deflated, and the arrays in them.
#include "files_seeds.h"
#include "tallow/error.h"
#include "tallow/files.h"
#include "tallow/npy.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto file = tallow::NpzFile::from_memory(fuzz_bytes(data, size), "t");
    for (const auto& t : file->tensors()) {
      const auto tensor = file->get(t.name);
      const auto* bytes = static_cast<const volatile uint8_t*>(tensor.raw());
      for (int64_t i = 0; i < tensor.nbytes(); ++i) (void)bytes[i];
    }
  } catch (const tallow::Error&) {
  }
  return 0;
}

std::vector<std::string> fuzz_seeds() {
  const float numbers[] = {1, 2, 3, 4, 5, 6};
  const int64_t integers[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  const tallow::NamedTensors tensors = {{"a", tallow::Tensor::from(numbers, {2, 3})},
                                        {"bé", tallow::Tensor::from(integers, {12})},
                                        {"empty", tallow::Tensor::empty({0, 2})}};
  std::vector<std::string> seeds;
  for (const bool compressed : {false, true}) {
    seeds.push_back(written_file(".npz", [&](const std::string& path) {
      tallow::save_file(tensors, path, {{}, 0, compressed, {}});
    }));
  }
  return seeds;
}
