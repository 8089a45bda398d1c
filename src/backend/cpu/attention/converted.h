// Reading caches of f16 and of blocks: chunks are converted into copies in f32 or bf16, from which
// the kernels go on. Values in blocks lie a token a row, as keys do, so that a token can be written
// without those beside it being known; they are transposed on the way.
#pragma once

#include "backend/cpu/attention/chunks.h"
#include "backend/cpu/attention/codes.h"
#include "backend/cpu/isa/transpose.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

TALLOW_INLINE void put(float* to, Floats v) { store(to, v); }
TALLOW_INLINE void put(uint16_t* to, Floats v) { store_as(to, narrow(v)); }
TALLOW_INLINE void put(float* to, float x) { *to = x; }
TALLOW_INLINE void put(uint16_t* to, float x) { *to = narrow(x); }

template <class E>
struct ConvertingReader : PagedReader<E> {
  using PagedReader<E>::PagedReader;
  using PagedReader<E>::call;
  using PagedReader<E>::width;

  Chunk<E> read(int64_t position, int64_t index) const {
    return this->copied(position, index,
                        [&](int64_t base, int64_t slot, int64_t count, E* k, E* v) {
                          switch (call.cache) {
                            case CacheType::q8_0:
                              return blocks<EightBits>(base / call.dim + slot, count, k, v);
                            case CacheType::q4_0:
                              return blocks<FourBits>(base / call.dim + slot, count, k, v);
                            default: return halves(base, slot, count, k, v);
                          }
                        });
  }

 private:
  /// A row of f16 or bf16.
  void row(const uint16_t* from, int64_t n, E* to) const {
    const bool bf16 = call.cache == CacheType::bf16;
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      const Halves bits = load_as<Halves>(from + i);
      put(to + i, bf16 ? widen(bits) : widen_f16(bits));
    }
    for (; i < n; ++i) put(to + i, bf16 ? widen(from[i]) : widen_f16(from[i]));
  }

  void halves(int64_t base, int64_t slot, int64_t count, E* k, E* v) const {
    const auto* k_from = static_cast<const uint16_t*>(call.k_cache) + base + slot * call.dim;
    const auto* v_from = static_cast<const uint16_t*>(call.v_cache) + base + slot;
    for (int64_t i = 0; i < count; ++i) row(k_from + i * call.dim, call.dim, k + i * width);
    for (int64_t d = 0; d < call.dim; ++d)
      row(v_from + d * call.page_size, count, v + d * kAttentionChunk);
  }

  template <class B>
  static TALLOW_INLINE Floats part(const uint8_t* block, int64_t at) {
    return B::codes(block, at) * widen_f16(load_as<uint16_t>(block));
  }

  /// Rows of blocks from `first` on: a token each.
  template <class B>
  void blocks(int64_t first, int64_t count, E* k, E* v) const {
    const int64_t bytes = call.dim / kBlock * B::kBytes;
    const auto* k_from = static_cast<const uint8_t*>(call.k_cache) + first * bytes;
    const auto* v_from = static_cast<const uint8_t*>(call.v_cache) + first * bytes;
    for (int64_t i = 0; i < count; ++i, k_from += bytes, k += width) {
      for (int64_t d = 0; d < call.dim; d += kLanes)
        put(k + d, part<B>(k_from + d / kBlock * B::kBytes, d % kBlock));
    }
    for (int64_t i = 0; i < count; i += kLanes) {
      const int64_t live = smaller(kLanes, count - i);
      for (int64_t d = 0; d < call.dim; d += kLanes) {
        Floats tile[kLanes];
        for (int64_t j = 0; j < kLanes; ++j) {
          const uint8_t* at = v_from + (i + smaller(j, live - 1)) * bytes;
          tile[j] = part<B>(at + d / kBlock * B::kBytes, d % kBlock);
        }
        transpose(tile);
        for (int64_t j = 0; j < kLanes; ++j) {
          E* to = v + (d + j) * kAttentionChunk + i;
          if (live == kLanes) {
            put(to, tile[j]);
          } else {
            for (int64_t t = 0; t < live; ++t) put(to + t, tile[j][t]);
          }
        }
      }
    }
  }
};

}  // namespace
}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
