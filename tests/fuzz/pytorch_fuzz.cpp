// Fuzzes the readers of PyTorch's files: zip archives, streams of pickles, the pickle machine.
#include "files_seeds.h"
#include "tallow/error.h"
#include "tallow/pytorch.h"
#include "target.h"

using tallow::Object;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto file = tallow::PytorchFile::from_memory(fuzz_bytes(data, size), "t");
    for (const auto& t : file->tensors()) {
      const auto tensor = file->get(t.name);
      if (tensor.numel() == 0) continue;
      int64_t last = 0;
      for (int d = 0; d < tensor.dim(); ++d) last += (tensor.size(d) - 1) * tensor.strides()[d];
      const int64_t each = tallow::info(tensor.dtype()).bytes;
      const auto* bytes = static_cast<const volatile uint8_t*>(tensor.raw());
      (void)bytes[0];
      (void)bytes[last * each + each - 1];
    }
  } catch (const tallow::Error&) {
  }
  return 0;
}

namespace {

Object sample() {
  const float numbers[] = {1, 2, 3, 4, 5, 6};
  const tallow::Tensor a = tallow::Tensor::from(numbers, {2, 3});
  const Object list = Object::sequence(
      Object::SequenceKind::list,
      {Object(int64_t{7}), Object(2.5), Object(true), Object(), Object("text"),
       Object::sequence(Object::SequenceKind::tuple, {Object(tallow::DType::f16)})});
  Object::Entries inner = {
      {Object("weight"), Object(a)},
      {Object("view"), Object(tallow::Tensor(a.buffer(), 12, {3}, {1}, a.dtype()))},
      {Object("u16"), Object(tallow::Tensor::empty({0}, tallow::DType::u16))}};
  return Object::dict({{Object("model"), Object::dict(std::move(inner), true)},
                       {Object(int64_t{3}), list},
                       {Object("again"), list}});
}

/// The older form: magic number, protocol, system, object, keys, and a storage of two floats.
std::string stream() {
  using namespace std::string_literals;
  return "\x80\x02\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}q\0(X\r\0\0\0"
         "little_endianq\1\x88u.\x80\x02}X\1\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0"
         "storagectorch\nFloatStorage\nX\1\0\0\0"
         "0X\3\0\0\0cpuK\2NtQK\0K\2\x85K\1\x85\x89"
         "ccollections\nOrderedDict\n)RtRs.\x80\x02]X\1\0\0\0"
         "0a.\2\0\0\0\0\0\0\0\1\2\3\4\5\6\7\x08"s;
}

}  // namespace

std::vector<std::string> fuzz_seeds() {
  return {stream(), written_file(".pt", [](const std::string& path) {
            tallow::save_pytorch(path, sample());
          })};
}
