// Copies elements between two strided layouts: the piece that contiguous, cat, place and the others
// which only move elements share.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tallow/error.h"
#include "tallow/tensor.h"

namespace tallow {

/// Copies every element of `shape`, `bytes` wide, from one layout to another. Strides count
/// elements, and those of the source may be zero or negative. The target's elements are distinct.
void move_elements(const Shape& shape, int64_t bytes, std::byte* to, const Shape& to_strides,
                   const std::byte* from, const Shape& from_strides);

/// Copies a tensor's elements to a layout that starts at `to`. No block dtypes.
void move_elements(const Tensor& from, std::byte* to, const Shape& to_strides);

/// An element of 16 bytes.
struct alignas(8) Bytes16 {
  uint64_t low, high;
};

/// Calls f(T{}) with an unsigned type as wide as an element; for kernels that only move elements.
template <class F>
void with_bytes(int64_t bytes, const F& f) {
  switch (bytes) {
    case 1: return f(uint8_t{});
    case 2: return f(uint16_t{});
    case 4: return f(uint32_t{});
    case 8: return f(uint64_t{});
    case 16: return f(Bytes16{});
    default: fail("elements of ", bytes, " bytes cannot be moved one by one; call .to(f32) first");
  }
}

}  // namespace tallow
