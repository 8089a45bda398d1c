// Fuzzes the .npy reader, over arrays in both orders.
#include "tallow/error.h"
#include "tallow/npy.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto tensor = tallow::load_npy(fuzz_bytes(data, size), "t");
    const int64_t each = tallow::info(tensor.dtype()).bytes;
    int64_t last = 0;
    for (int d = 0; d < tensor.dim(); ++d) last += (tensor.shape()[d] - 1) * tensor.strides()[d];
    const auto* bytes = static_cast<const volatile uint8_t*>(tensor.raw());
    if (tensor.numel() > 0) (void)bytes[last * each + each - 1];
  } catch (const tallow::Error&) {
  }
  return 0;
}

std::vector<std::string> fuzz_seeds() {
  std::vector<std::string> seeds;
  for (const char* dict : {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n",
                           "{'descr': '<i8', 'fortran_order': True, 'shape': (3,), }   \n",
                           "{'descr': '|b1', 'fortran_order': True, 'shape': (1, 4, 6), }\n"}) {
    const std::string text = dict;
    std::string s("\x93NUMPY\x01\x00", 8);
    s += static_cast<char>(text.size());
    s += '\0';
    seeds.push_back(s + text + std::string(24, '\1'));
  }
  return seeds;
}
