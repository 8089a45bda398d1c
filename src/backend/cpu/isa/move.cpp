// Copies: transposed tiles, and stores that go past the caches where the data would not stay there.
#include "backend/cpu/move.h"

#include <utility>

#include "backend/cpu/isa/simd.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

template <class T, int N>
struct VectorOf {
  typedef T type __attribute__((vector_size(N * sizeof(T))));
};

// Past the caches, in whole lines or halves of them; p is aligned to the vector.
template <class V>
TALLOW_INLINE void stream_as(void* p, V v) {
#if TALLOW_ISA_LEVEL >= 2
  if constexpr (sizeof(V) == 64) {
    _mm512_stream_si512(static_cast<__m512i*>(p), load_as<__m512i>(&v));
    return;
  }
#endif
#if TALLOW_ISA_LEVEL >= 1
  if constexpr (sizeof(V) == 32) {
    _mm256_stream_si256(static_cast<__m256i*>(p), load_as<__m256i>(&v));
    return;
  } else if constexpr (sizeof(V) == 16) {
    _mm_stream_si128(static_cast<__m128i*>(p), load_as<__m128i>(&v));
    return;
  }
#endif
  store_as(p, v);
}

// What was streamed is there for other threads.
TALLOW_INLINE void end_stream() {
#if TALLOW_ISA_LEVEL >= 1
  _mm_sfence();
#endif
}

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

template <class T, int N, class V>
TALLOW_INLINE void load_transposed(const T* from, int64_t stride, V (&tile)[N]) {
#pragma GCC unroll 32
  for (int i = 0; i < N; ++i) tile[i] = load_as<V>(from + i * stride);
  transpose_round<1>(tile);
  if constexpr (N > 2) transpose_round<2>(tile);
  if constexpr (N > 4) transpose_round<4>(tile);
  if constexpr (N > 8) transpose_round<8>(tile);
}

template <class T, int N>
struct Square {
  using Element = T;
  static constexpr int kRows = N, kColumns = N;

  template <bool Stream>
  static TALLOW_INLINE void run(T* to, int64_t to_stride, const T* from, int64_t from_stride) {
    typename VectorOf<T, N>::type tile[N];
    load_transposed(from, from_stride, tile);
#pragma GCC unroll 32
    for (int i = 0; i < N; ++i) {
      Stream ? stream_as(to + i * to_stride, tile[i]) : store_as(to + i * to_stride, tile[i]);
    }
  }
};

// Two squares above each other, so that a line of the target is whole.
template <class T, int N>
struct Pair {
  using Element = T;
  static constexpr int kRows = 2 * N, kColumns = N;
  using Whole = typename VectorOf<T, 2 * N>::type;

  template <class V, int... Lane>
  static TALLOW_INLINE Whole join(V a, V b, std::integer_sequence<int, Lane...>) {
    return __builtin_shufflevector(a, b, Lane...);
  }

  template <bool Stream>
  static TALLOW_INLINE void run(T* to, int64_t to_stride, const T* from, int64_t from_stride) {
    typename VectorOf<T, N>::type above[N], below[N];
    load_transposed(from, from_stride, above);
    load_transposed(from + N * from_stride, from_stride, below);
#pragma GCC unroll 32
    for (int i = 0; i < N; ++i) {
      const Whole line = join(above[i], below[i], std::make_integer_sequence<int, 2 * N>());
      Stream ? stream_as(to + i * to_stride, line) : store_as(to + i * to_stride, line);
    }
  }
};

template <class Tile, bool Stream, class T>
TALLOW_INLINE void whole_tiles(T* to, int64_t to_stride, const T* from, int64_t from_stride,
                               int64_t rows, int64_t columns) {
  for (int64_t c = 0; c < columns; c += Tile::kColumns) {
    for (int64_t r = 0; r < rows; r += Tile::kRows) {
      Tile::template run<Stream>(to + c * to_stride + r, to_stride, from + r * from_stride + c,
                                 from_stride);
    }
  }
  if (Stream) end_stream();
}

template <class Tile>
void transpose_tiles(void* target, int64_t to_stride, const void* source, int64_t from_stride,
                     int64_t rows, int64_t columns, bool stream) {
  using T = typename Tile::Element;
  T* to = static_cast<T*>(target);
  const T* from = static_cast<const T*>(source);
  const int64_t r = rows / Tile::kRows * Tile::kRows;
  const int64_t c = columns / Tile::kColumns * Tile::kColumns;
  constexpr int64_t kLine = Tile::kRows * static_cast<int64_t>(sizeof(T));
  const bool aligned =
      (reinterpret_cast<uintptr_t>(to) | static_cast<uintptr_t>(to_stride) * sizeof(T)) % kLine ==
      0;
  if (stream && aligned) {
    whole_tiles<Tile, true>(to, to_stride, from, from_stride, r, c);
  } else {
    whole_tiles<Tile, false>(to, to_stride, from, from_stride, r, c);
  }
  const auto rest = [&](int64_t r0, int64_t r1, int64_t c0, int64_t c1) {
    for (int64_t j = c0; j < c1; ++j) {
      for (int64_t i = r0; i < r1; ++i) to[j * to_stride + i] = from[i * from_stride + j];
    }
  };
  rest(r, rows, 0, c);
  rest(0, rows, c, columns);
}

void transpose(void* to, int64_t to_stride, const void* from, int64_t from_stride, int64_t rows,
               int64_t columns, int64_t bytes, bool stream) {
  using Narrow = std::conditional_t<(kLanes > 8), Pair<uint16_t, 16>, Square<uint16_t, 8>>;
  const auto run = bytes == 2   ? transpose_tiles<Narrow>
                   : bytes == 4 ? transpose_tiles<Square<uint32_t, kLanes>>
                                : transpose_tiles<Square<uint64_t, kLanes / 2>>;
  run(to, to_stride, from, from_stride, rows, columns, stream);
}

using Line = typename VectorOf<uint64_t, kLanes / 2>::type;
constexpr int64_t kLineBytes = sizeof(Line);

// The bytes in front of the first whole line.
TALLOW_INLINE int64_t head_of(const void* to, int64_t bytes) {
  const auto skip = static_cast<int64_t>(-reinterpret_cast<uintptr_t>(to) % kLineBytes);
  return skip < bytes ? skip : bytes;
}

void copy(void* to, const void* from, int64_t bytes) {
  auto* t = static_cast<unsigned char*>(to);
  const auto* f = static_cast<const unsigned char*>(from);
  int64_t at = head_of(to, bytes);
  __builtin_memcpy(t, f, static_cast<size_t>(at));
  for (; at + 4 * kLineBytes <= bytes; at += 4 * kLineBytes) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      stream_as(t + at + i * kLineBytes, load_as<Line>(f + at + i * kLineBytes));
    }
  }
  end_stream();
  __builtin_memcpy(t + at, f + at, static_cast<size_t>(bytes - at));
}

void fill(void* to, uint64_t pattern, int64_t bytes) {
  auto* t = static_cast<unsigned char*>(to);
  const int64_t head = head_of(to, bytes);
  // The pattern is of elements of a power of two, so that it may start anywhere at one of them.
  const auto plain = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      t[i] = static_cast<unsigned char>(pattern >> (i % 8 * 8));
    }
  };
  plain(0, head);
  // From the head on the pattern is turned by as many bytes.
  const int64_t turn = head % 8 * 8;
  const uint64_t turned = turn ? pattern >> turn | pattern << (64 - turn) : pattern;
  const Line line = turned - Line{};
  int64_t at = head;
  for (; at + kLineBytes <= bytes; at += kLineBytes) stream_as(t + at, line);
  end_stream();
  plain(at, bytes);
}

}  // namespace

const MoveKernels move_kernels{transpose, copy, fill};

}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
