// Transposed copies of tiles.
#include "backend/cpu/move.h"

#include <utility>

#include "backend/cpu/isa/simd.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

template <class T, int N>
struct VectorOf {
  typedef T type __attribute__((vector_size(N * sizeof(T))));
};

/// Swaps the off-diagonal quarters of every 2 Step square that a and b cross.
template <int Step, int N, class V, int... Lane>
TALLOW_INLINE void swap_quarters(V& a, V& b, std::integer_sequence<int, Lane...>) {
  const V low = __builtin_shufflevector(a, b, (Lane & Step ? N + Lane - Step : Lane)...);
  b = __builtin_shufflevector(a, b, (Lane & Step ? N + Lane : Lane + Step)...);
  a = low;
}

template <int Step, int N, class V>
TALLOW_INLINE void transpose_round(V (&tile)[N]) {
#pragma GCC unroll 32
  for (int i = 0; i < N; ++i) {
    if ((i & Step) == 0) {
      swap_quarters<Step, N>(tile[i], tile[i + Step], std::make_integer_sequence<int, N>());
    }
  }
}

template <class T, int N>
TALLOW_INLINE void transpose_square(T* to, int64_t to_stride, const T* from, int64_t from_stride) {
  using V = typename VectorOf<T, N>::type;
  V tile[N];
#pragma GCC unroll 32
  for (int i = 0; i < N; ++i) tile[i] = load_as<V>(from + i * from_stride);
  transpose_round<1>(tile);
  if constexpr (N > 2) transpose_round<2>(tile);
  if constexpr (N > 4) transpose_round<4>(tile);
  if constexpr (N > 8) transpose_round<8>(tile);
#pragma GCC unroll 32
  for (int i = 0; i < N; ++i) store_as(to + i * to_stride, tile[i]);
}

template <class T, int N>
void transpose_tiles(T* to, int64_t to_stride, const T* from, int64_t from_stride, int64_t rows,
                     int64_t columns) {
  const int64_t whole_rows = rows / N * N, whole_columns = columns / N * N;
  for (int64_t c = 0; c < whole_columns; c += N) {
    for (int64_t r = 0; r < whole_rows; r += N) {
      transpose_square<T, N>(to + c * to_stride + r, to_stride, from + r * from_stride + c,
                             from_stride);
    }
  }
  const auto rest = [&](int64_t r0, int64_t r1, int64_t c0, int64_t c1) {
    for (int64_t c = c0; c < c1; ++c) {
      for (int64_t r = r0; r < r1; ++r) to[c * to_stride + r] = from[r * from_stride + c];
    }
  };
  rest(whole_rows, rows, 0, whole_columns);
  rest(0, rows, whole_columns, columns);
}

void transpose(void* to, int64_t to_stride, const void* from, int64_t from_stride, int64_t rows,
               int64_t columns, int64_t bytes) {
  const auto run = [&](auto unit, auto lanes) {
    using T = decltype(unit);
    transpose_tiles<T, lanes.value>(static_cast<T*>(to), to_stride, static_cast<const T*>(from),
                                    from_stride, rows, columns);
  };
  if (bytes == 2) {
    run(uint16_t{}, std::integral_constant<int, (kLanes > 8 ? 16 : 8)>{});
  } else if (bytes == 4) {
    run(uint32_t{}, std::integral_constant<int, kLanes>{});
  } else {
    run(uint64_t{}, std::integral_constant<int, kLanes / 2>{});
  }
}

}  // namespace

const MoveKernels move_kernels{transpose};

}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
