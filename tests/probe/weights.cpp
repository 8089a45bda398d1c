// weights FOLDER OUT: a line for each weight of a checkpoint, "name dtype [shape]", and their values
// in f32, one after the other, in the file OUT.
#include <cstdio>
#include <memory>

#include "tallow/error.h"
#include "tallow/weights.h"

namespace probe {

int weights(int argc, char** argv) {
  if (argc != 3) tallow::fail("usage: weights FOLDER OUT");
  const tallow::Checkpoint checkpoint = tallow::open_checkpoint(argv[1]);
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> out(std::fopen(argv[2], "wb"), std::fclose);
  if (!out) tallow::fail(argv[2], ": cannot create");
  for (const std::string& name : checkpoint.weights.unused()) {
    const tallow::Tensor weight = checkpoint.weights.get_any(name);
    std::printf("%s %s\n", name.c_str(), to_string(weight).c_str());
    const std::vector<float> values = weight.to_vector();
    std::fwrite(values.data(), sizeof(float), values.size(), out.get());
  }
  return 0;
}

}  // namespace probe
