// tallow_probe NAME ARGUMENT...: lets the Python tests reach what the command does not show. Each
// probe is a function in a file of this folder and a row of the table.
#include <cstdio>
#include <cstring>
#include <exception>

namespace probe {

struct Probe {
  const char* name;
  int (*run)(int argc, char** argv);
};

static int list(int argc, char** argv);
int sample(int argc, char** argv);
int render(int argc, char** argv);
// formats.cpp
int inspect(int argc, char** argv);
int tensors(int argc, char** argv);
int npy(int argc, char** argv);
int gguf_copy(int argc, char** argv);
int checkpoint(int argc, char** argv);
int weight(int argc, char** argv);
int open_each(int argc, char** argv);
// tokenize.cpp
int tokenize(int argc, char** argv);
// blocks.cpp
int block_dtypes(int argc, char** argv);
int dequantize(int argc, char** argv);
int quantize(int argc, char** argv);
int encode(int argc, char** argv);
int packed(int argc, char** argv);
// weights.cpp
int weights(int argc, char** argv);
// matmul.cpp
int linear(int argc, char** argv);
// ops.cpp
int ops(int argc, char** argv);
// fused.cpp
int fused(int argc, char** argv);

static constexpr Probe kProbes[] = {
    {"list", list},
    {"fused", fused},
    {"sample", sample},
    {"template", render},
    {"tokenize", tokenize},
    {"inspect", inspect},
    {"tensors", tensors},
    {"npy", npy},
    {"gguf_copy", gguf_copy},
    {"checkpoint", checkpoint},
    {"weight", weight},
    {"open_each", open_each},
    {"linear", linear},
    {"ops", ops},
    {"block_dtypes", block_dtypes},
    {"dequantize", dequantize},
    {"quantize", quantize},
    {"encode", encode},
    {"packed", packed},
    {"weights", weights},
};

static int list(int, char**) {
  for (const Probe& probe : kProbes) std::puts(probe.name);
  return 0;
}

}  // namespace probe

/// A probe sees its own name as argv[0]. An exception is printed and ends with status 1.
int main(int argc, char** argv) {
  try {
    for (const probe::Probe& probe : probe::kProbes) {
      if (argc > 1 && std::strcmp(argv[1], probe.name) == 0) return probe.run(argc - 1, argv + 1);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  std::fprintf(stderr, "tallow_probe: no such probe; `tallow_probe list` names them\n");
  return 2;
}
