// Attention of a handful of rows over blocks with AMX. Keys' codes are A tiles just as they lie in
// their pages and meet queries of 8 bits; values' codes, which bf16 holds exactly, meet weights
// that the values' scales were multiplied into.
#include "backend/cpu/amx_tiles.h"
#include "backend/cpu/attention/blocks.h"
#include "backend/cpu/isa/transpose.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

// Tiles 0 and 1 are sums of scores, 2 keys, 3 queries; 4 weights, 5 values, 6 and 7 their sums.
TileConfig tiles_for(int64_t rows) {
  TileConfig config;
  const auto set = [&](int tile, int64_t height, int bytes) {
    config.rows[tile] = static_cast<uint8_t>(height);
    config.row_bytes[tile] = static_cast<uint16_t>(bytes);
  };
  set(0, 16, 64);
  set(1, 16, 64);
  set(2, 16, kBlock);
  set(3, kBlock / 4, 64);
  set(4, rows, 64);
  set(5, 16, 64);
  set(6, rows, 64);
  set(7, rows, 64);
  return config;
}

template <class C>
class TileEngine {
 public:
  using Codes = C;

  TileEngine(int64_t d, int64_t r, Arena& arena)
      : dim(d),
        blocks(d / kBlock),
        row_bytes(blocks * C::kBytes),
        rows(r),
        queries(arena.take<int8_t>(blocks * kBlock * kLanes)),
        query_scales(arena.take<float>(blocks * kLanes)),
        scales(arena.take<float>(blocks * kAttentionBlock)),
        turned(arena.take<float>(kLanes * kAttentionBlock)),
        codes(arena.take<uint8_t>(kAttentionChunk * dim)),
        config(tiles_for(r)) {}

  void start(const float* from) {
    _tile_loadconfig(&config);
    __builtin_memset(queries, 0, static_cast<size_t>(dim * kLanes));
    __builtin_memset(query_scales, 0, static_cast<size_t>(blocks * kLanes) * 4);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t b = 0; b < blocks; ++b) put_query(from + r * dim + b * kBlock, b, r);
    }
  }

  void scores(const BlockChunk& chunk, float* out) const {
    read_scales(chunk.k, kAttentionChunk, scales, kAttentionChunk);
    const Rows keys = key_codes(chunk.k);
    for (int64_t half = 0; half < kAttentionChunk; half += kLanes, out += kLanes * kRowLanes) {
      const uint8_t* at = keys.at + half * keys.stride;
      Floats sum[kLanes] = {};
      alignas(64) int32_t products[2][2][kLanes * kLanes];
      multiply(at, keys, 0, products[0]);
      for (int64_t b = 0; b < blocks; b += 2) {  // a pair ahead of what is added
        prefetch(chunk, half / kLanes * blocks + b);
        if (b + 2 < blocks) multiply(at, keys, b + 2, products[(b / 2 + 1) % 2]);
        add_products(products[b / 2 % 2][0], b, half, sum);
        if (b + 1 < blocks) add_products(products[b / 2 % 2][1], b + 1, half, sum);
      }
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) store(out + i * kRowLanes, sum[i]);
    }
  }

  void values(const BlockChunk* chunks, int64_t count, const float* weights, float* sums) const {
    for (int64_t i = 0; i < count; ++i) {
      read_scales(chunks[i].v, chunks[i].live, scales + i * kAttentionChunk, kAttentionBlock);
      for (int64_t half = 0; half < kAttentionChunk; half += kLanes)
        turn(weights, i * kAttentionChunk + half);
    }
    // What tiles are loaded from is written a step ahead: they wait for stores on their way.
    alignas(64) Operands operands[2][kAttentionBlock / kAttentionChunk];
    for (int64_t i = 0; i < count; ++i) prepare(chunks[i], i, 0, operands[0][i]);
    for (int64_t b = 0; b < blocks; ++b) {
      float* to = sums + b * kBlock;
      _tile_loadd(6, to, dim * 4);
      _tile_loadd(7, to + kLanes, dim * 4);
      for (int64_t i = 0; i < count; ++i) {
        const Operands& now = operands[b % 2][i];
        _tile_loadd(4, now.weights, 64);
        _tile_loadd(5, now.values[0], 64);
        _tile_dpbf16ps(6, 4, 5);
        _tile_loadd(5, now.values[1], 64);
        _tile_dpbf16ps(7, 4, 5);
        if (b + 1 < blocks) prepare(chunks[i], i, b + 1, operands[(b + 1) % 2][i]);
      }
      _tile_stored(6, to, dim * 4);
      _tile_stored(7, to + kLanes, dim * 4);
    }
  }

 private:
  /// Of a chunk and a block of features: weights [rows, 32], and values in pairs.
  struct Operands {
    uint16_t weights[kBlockRows * kAttentionChunk];
    uint32_t values[2][kLanes * kLanes];
  };
  struct Rows {
    const uint8_t* at;
    int64_t stride, step;  // bytes from a row to the next, and from a block
  };

  /// 32 elements of row r, to 8 bits: fours of them stand beside those of the other rows.
  void put_query(const float* from, int64_t b, int64_t r) {
    const Floats low = load(from), high = load(from + kLanes);
    const Floats most = max(max(low, -low), max(high, -high));
    // A NaN in the query becomes one in all of its scores.
    const float scale =
        _mm512_reduce_max_ps(most) / 127 + _mm512_reduce_add_ps((low - low) + (high - high));
    const Floats factor = splat(scale > 0 ? 1 / scale : 0.f);
    alignas(16) int8_t bytes[kBlock];
    store_as(bytes, _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(low * factor)));
    store_as(bytes + kLanes, _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(high * factor)));
    for (int64_t k = 0; k < kBlock; k += 4)
      __builtin_memcpy(queries + b * kBlock * kLanes + k * kLanes + r * 4, bytes + k, 4);
    query_scales[b * kLanes + r] = scale;
  }

  /// The scales of 32 rows, [blocks, ...] with `stride` between blocks; of those past `live` zero.
  void read_scales(const uint8_t* from, int64_t live, float* to, int64_t stride) const {
    const Ints rows_at = lane_numbers() * static_cast<int32_t>(row_bytes);
    for (int64_t half = 0; half < kAttentionChunk; half += kLanes) {
      const int64_t left = larger(0, smaller(kLanes, live - half));
      const auto mask = static_cast<__mmask16>((1u << left) - 1);
      for (int64_t b = 0; b < blocks; ++b) {
        const __m512i words =
            _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), mask, (__m512i)rows_at,
                                        from + half * row_bytes + b * C::kBytes, 1);
        store(to + b * stride + half, widen_f16((Halves)_mm512_cvtepi32_epi16(words)));
      }
    }
  }

  static TALLOW_INLINE Ints lane_numbers() {
    return Ints{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  }

  Rows key_codes(const uint8_t* k) const {
    if constexpr (std::is_same_v<C, EightBits>) return {k + 2, row_bytes, C::kBytes};
    const __m256i low = _mm256_set1_epi8(15), eight = _mm256_set1_epi8(8);
    for (int64_t i = 0; i < kAttentionChunk * blocks; ++i, k += C::kBytes) {
      const __m128i both = load_as<__m128i>(k + 2);
      const __m256i apart = _mm256_set_m128i(_mm_srli_epi16(both, 4), both);
      store_as(codes + i * kBlock, _mm256_sub_epi8(_mm256_and_si256(apart, low), eight));
    }
    return {codes, dim, kBlock};
  }

  /// 16 keys' blocks b and b + 1, where there is one, with the queries.
  TALLOW_INLINE void multiply(const uint8_t* at, const Rows& keys, int64_t b,
                              int32_t (&to)[2][kLanes * kLanes]) const {
    _tile_loadd(3, queries + b * kBlock * kLanes, 64);
    _tile_loadd(2, at + b * keys.step, keys.stride);
    _tile_zero(0);
    _tile_dpbssd(0, 2, 3);
    _tile_stored(0, to[0], 64);
    if (b + 1 == blocks) return;
    _tile_loadd(3, queries + (b + 1) * kBlock * kLanes, 64);
    _tile_loadd(2, at + (b + 1) * keys.step, keys.stride);
    _tile_zero(1);
    _tile_dpbssd(1, 2, 3);
    _tile_stored(1, to[1], 64);
  }

  TALLOW_INLINE void add_products(const int32_t* products, int64_t b, int64_t half,
                                  Floats (&sum)[kLanes]) const {
    const Floats query_scale = load(query_scales + b * kLanes);
    const float* key_scales = scales + b * kAttentionChunk + half;
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) {
      const Floats product = __builtin_convertvector(load_as<Ints>(products + i * kLanes), Floats);
      sum[i] += product * (query_scale * key_scales[i]);
    }
  }

  /// Two parts of 2 * blocks of the chunk's values, and of the keys that probably come next.
  TALLOW_INLINE void prefetch(const BlockChunk& chunk, int64_t part) const {
    constexpr int64_t kPart = kAttentionChunk / 2 * C::kBytes;
    const int64_t from = part * kPart, next = from + kAttentionChunk * row_bytes;
    for (int64_t i = 0; i < 2 * kPart; i += 64) {
      __builtin_prefetch(chunk.k + next + i, 0, 2);
      __builtin_prefetch(chunk.v + from + i, 0, 2);
    }
  }

  TALLOW_INLINE void prepare(const BlockChunk& chunk, int64_t i, int64_t b, Operands& to) const {
    scale_weights(b, i * kAttentionChunk, to.weights);
    pair_values(chunk.v + b * C::kBytes, to.values);
  }

  /// 16 positions of the weights, to [rows, kAttentionBlock].
  void turn(const float* weights, int64_t at) const {
    Floats tile[kLanes];
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) tile[i] = load(weights + (at + i) * kRowLanes);
    transpose(tile);
#pragma GCC unroll 8
    for (int r = 0; r < kBlockRows; ++r) store(turned + r * kAttentionBlock + at, tile[r]);
  }

  void scale_weights(int64_t b, int64_t at, uint16_t* to) const {
    const float* scale = scales + b * kAttentionBlock + at;
    const Floats low = load(scale), high = load(scale + kLanes);
    for (int64_t r = 0; r < rows; ++r) {
      const float* w = turned + r * kAttentionBlock + at;
      store_as(to + r * kAttentionChunk,
               _mm512_cvtne2ps_pbh(load(w + kLanes) * high, load(w) * low));
    }
  }

  /// A block of 32 positions to bf16, in pairs of neighbours; the low and the high 16 features.
  void pair_values(const uint8_t* v, uint32_t (&pairs)[2][kLanes * kLanes]) const {
#pragma GCC unroll 4
    for (int64_t i = 0; i < kLanes; ++i, v += 2 * row_bytes) {
#pragma GCC unroll 2
      for (int64_t half = 0; half < 2; ++half) {
        const Words even = reinterpret_cast<Words>(C::codes(v, half * kLanes));
        const Words odd = reinterpret_cast<Words>(C::codes(v + row_bytes, half * kLanes));
        store_as(pairs[half] + i * kLanes, even >> 16 | odd);
      }
    }
  }

  int64_t dim, blocks, row_bytes, rows;
  int8_t* queries;      // [blocks, kBlock / 4, kLanes, 4]
  float* query_scales;  // [blocks, kLanes]
  float* scales;        // of keys [blocks, kAttentionChunk], then of values [.., kAttentionBlock]
  float* turned;        // weights [kBlockRows, kAttentionBlock]
  uint8_t* codes;       // of keys in four bits, a byte each
  TileConfig config;
};

}  // namespace

const AttentionKernel blocks_attention = block_attention<TileEngine>;

}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
