#include "formats/tensor_bytes.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace tallow {
namespace {

constexpr size_t kPiece = size_t{1} << 20;

/// Copies rows of the last dimension, whatever their stride, into a piece that is given on when it
/// is full.
template <size_t each>
void give_strided(const Tensor& tensor, const ByteSink& sink) {
  const Shape& shape = tensor.shape();
  const Shape& strides = tensor.strides();
  const int last = shape.size() - 1;
  std::vector<std::byte> piece;
  piece.reserve(kPiece + each);
  Shape index = Shape::filled(shape.size(), 0);
  const auto* row = static_cast<const std::byte*>(tensor.raw());
  constexpr auto width = static_cast<int64_t>(each);
  for (int d = 0; d >= 0;) {
    for (int64_t i = 0; i < shape[last]; ++i) {
      const std::byte* element = row + i * strides[last] * width;
      const size_t used = piece.size();
      piece.resize(used + each);
      std::memcpy(piece.data() + used, element, each);
      if (piece.size() < kPiece) continue;
      sink(piece);
      piece.clear();
    }
    for (d = last - 1; d >= 0; --d) {
      row += strides[d] * width;
      if (++index[d] < shape[d]) break;
      row -= strides[d] * shape[d] * width;
      index[d] = 0;
    }
  }
  if (!piece.empty()) sink(piece);
}

}  // namespace

void give_bytes(const Tensor& tensor, const ByteSink& sink) {
  if (tensor.numel() == 0) return;
  if (tensor.is_contiguous() || tensor.dim() == 0) {
    return sink(
        {static_cast<const std::byte*>(tensor.raw()), static_cast<size_t>(tensor.nbytes())});
  }
  const DTypeInfo& row = info(tensor.dtype());
  if (is_block(tensor.dtype())) return give_bytes(tensor.contiguous(), sink);
  switch (row.bytes) {
    case 1: return give_strided<1>(tensor, sink);
    case 2: return give_strided<2>(tensor, sink);
    case 4: return give_strided<4>(tensor, sink);
    case 8: return give_strided<8>(tensor, sink);
    default: return give_strided<16>(tensor, sink);
  }
}

void swap_bytes(std::span<std::byte> bytes, int width) {
  const auto step = static_cast<size_t>(width);
  for (size_t at = 0; at + step <= bytes.size() && step > 1; at += step) {
    std::reverse(bytes.data() + at, bytes.data() + at + step);
  }
}

int number_bytes(DType dtype) {
  if (is_block(dtype)) return 1;
  return is_complex(dtype) ? info(dtype).bytes / 2 : info(dtype).bytes;
}

}  // namespace tallow
