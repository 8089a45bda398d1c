// The numbers in a tensor's bytes, for files of big-endian machines.
#include <algorithm>

#include "formats/gguf_bytes.h"

namespace tallow {
namespace {

/// `count` numbers of `width` bytes at `offset` of a block.
struct Field {
  DType dtype;
  int offset, width, count;
};
// clang-format off
constexpr Field kFields[] = {
    {DType::q4_0, 0, 2, 1},    {DType::q4_1, 0, 2, 2},    {DType::q5_0, 0, 2, 1},
    {DType::q5_0, 2, 4, 1},    {DType::q5_1, 0, 2, 2},    {DType::q5_1, 4, 4, 1},
    {DType::q8_0, 0, 2, 1},    {DType::q8_1, 0, 2, 2},    {DType::q2_k, 80, 2, 2},
    {DType::q3_k, 108, 2, 1},  {DType::q4_k, 0, 2, 2},    {DType::q5_k, 0, 2, 2},
    {DType::q6_k, 208, 2, 1},  {DType::q8_k, 0, 4, 1},    {DType::q8_k, 260, 2, 16},
    {DType::iq4_nl, 0, 2, 1},  {DType::iq4_xs, 0, 2, 2},  {DType::tq1_0, 52, 2, 1},
    {DType::tq2_0, 64, 2, 1},  {DType::iq1_s, 0, 2, 1},   {DType::iq1_s, 34, 2, 8},
    {DType::iq1_m, 48, 2, 4},  {DType::iq2_xxs, 0, 2, 1}, {DType::iq2_xxs, 2, 4, 16},
    {DType::iq2_xs, 0, 2, 33}, {DType::iq2_s, 0, 2, 1},   {DType::iq3_xxs, 0, 2, 1},
    {DType::iq3_xxs, 66, 4, 8}, {DType::iq3_s, 0, 2, 1},  {DType::q1_0, 0, 2, 1},
    {DType::q2_0, 0, 2, 1},
};
// clang-format on

}  // namespace

void turn_elements(DType dtype, std::byte* data, int64_t bytes) {
  const int64_t step = info(dtype).bytes;
  if (!is_block(dtype)) {
    const int64_t width = is_complex(dtype) ? step / 2 : step;
    for (int64_t i = 0; i + width <= bytes; i += width) std::reverse(data + i, data + i + width);
    return;
  }
  for (const Field& f : kFields) {
    if (f.dtype != dtype) continue;
    for (int64_t block = 0; block + step <= bytes; block += step) {
      for (int i = 0; i < f.count; ++i) {
        std::byte* at = data + block + f.offset + i * f.width;
        std::reverse(at, at + f.width);
      }
    }
  }
}

}  // namespace tallow
