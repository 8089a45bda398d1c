// Fuzzes the reader of zip archives, stored and deflated, and the arrays in them.
#include "files_seeds.h"
#include "tallow/error.h"
#include "tallow/files.h"
#include "tallow/npy.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto file = tallow::NpzFile::from_memory(fuzz_bytes(data, size), "t");
    fuzz_read(*file);
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
      tallow::SaveOptions options;
      options.compressed = compressed;
      tallow::save_file(tensors, path, options);
    }));
  }
  return seeds;
}
