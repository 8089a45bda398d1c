// Probes of the file formats: what was read, written back for Python to compare.
#include <cstdio>
#include <cstring>
#include <string>

#include "tallow/error.h"
#include "tallow/files.h"
#include "tallow/gguf.h"
#include "tallow/inspect.h"
#include "tallow/npy.h"
#include "tallow/weights.h"

namespace probe {
namespace {

struct File {
  FILE* handle;
  ~File() {
    if (handle) std::fclose(handle);
  }
};

void put(const std::string& text) { std::printf("%s\n", text.c_str()); }

/// Opens a file and all its tensors; throws tallow::Error.
void open_whole(const std::string& path) {
  const auto opened = tallow::open_tensors(path);
  for (const auto& file : opened.files) {
    for (const auto& t : file->tensors()) {
      if (t.dtype) file->get(t.name);
    }
  }
  if (path.ends_with(".gguf")) tallow::open_checkpoint(path);
  tallow::inspect_json(path);
  tallow::inspect_text(path);
}

}  // namespace

/// inspect PATH [--text]: the listing that `tallow inspect` prints.
int inspect(int argc, char** argv) {
  const bool text = argc > 2 && std::strcmp(argv[2], "--text") == 0;
  put(text ? tallow::inspect_text(argv[1]) : tallow::inspect_json(argv[1]).dump());
  return 0;
}

/// tensors FILE OUT: the bytes of every tensor, one after the other in the file's order.
int tensors(int, char** argv) {
  const auto opened = tallow::open_tensors(argv[1]);
  const File out{std::fopen(argv[2], "wb")};
  if (!out.handle) tallow::fail(argv[2], ": cannot create");
  for (const auto& file : opened.files) {
    for (const auto& t : file->tensors()) {
      const tallow::Tensor tensor = file->get(t.name).contiguous();
      std::fwrite(tensor.raw(), 1, static_cast<size_t>(tensor.nbytes()), out.handle);
    }
  }
  return 0;
}

/// npy IN OUT: reads and writes again.
int npy(int, char** argv) {
  tallow::save_npy(argv[2], tallow::load_npy(argv[1]));
  return 0;
}

/// gguf_copy IN OUT: a GGUF file, entry by entry and tensor by tensor.
int gguf_copy(int, char** argv) {
  const auto in = tallow::GgufFile::open(argv[1]);
  tallow::GgufWriter out(argv[2]);
  for (const auto& value : in->metadata()) out.metadata().set(value);
  for (const auto& t : in->tensors()) out.add_tensor(t.name, t.shape, *t.dtype);
  for (const auto& t : in->tensors()) out.write(in->get(t.name));
  out.finish();
  return 0;
}

/// checkpoint PATH [NAME...]: architecture, configurations and names; NAMEs count as used.
int checkpoint(int argc, char** argv) {
  const auto opened = tallow::open_checkpoint(argv[1]);
  for (int i = 2; i < argc; ++i) opened.weights.get_any(argv[i]);
  tallow::Json::Array unused;
  for (const auto& name : opened.weights.unused()) unused.emplace_back(name);
  tallow::Json out;
  out.set("architecture", opened.architecture);
  out.set("config", opened.config.values());
  out.set("generation", opened.generation.values());
  out.set("unused", tallow::Json(std::move(unused)));
  put(out.dump());
  return 0;
}

/// weight PATH NAME OUT: one tensor of a checkpoint, as bytes.
int weight(int, char** argv) {
  const auto tensor = tallow::open_checkpoint(argv[1]).weights.get_any(argv[2]);
  const File out{std::fopen(argv[3], "wb")};
  if (!out.handle) tallow::fail(argv[3], ": cannot create");
  std::fwrite(tensor.raw(), 1, static_cast<size_t>(tensor.nbytes()), out.handle);
  return 0;
}

/// open_each: opens each file that a line of stdin names, and prints its error or "ok".
int open_each(int, char**) {
  char line[4096];
  while (std::fgets(line, sizeof line, stdin)) {
    line[std::strcspn(line, "\n")] = '\0';
    try {
      open_whole(line);
      put("ok");
    } catch (const tallow::Error& error) {
      put(error.what());
    }
  }
  return 0;
}

}  // namespace probe
