// Dense attention, forward: the keys and values of a head are packed into chunks once, and blocks
// of query rows run on the tiled kernels that paged attention has.
#include <algorithm>
#include <cstring>

#include "backend/cpu/gemm/driver.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/sdpa/split_head.h"
#include "tallow/parallel.h"

namespace tallow::cpu {
namespace {

constexpr int64_t kChunkRows = kAttentionChunk;

/// Keys as chunks of [32, width], values as chunks of [width, 32]; zeros past the rows and the dim.
template <class T>
class PackedHead {
 public:
  PackedHead(const HeadRows<T>& k, const HeadRows<T>& v, int64_t width) {
    const int64_t rows = round_up(k.rows, kChunkRows), size = rows * width;
    auto* memory = reinterpret_cast<T*>(scratch(Scratch::x, 2 * size * int64_t{sizeof(T)}));
    keys_ = k.stride == width && k.dim == width && k.rows == rows ? k.data
                                                                  : pack_keys(k, width, memory);
    values_ = pack_values(v, width, memory + size);
  }
  const T* keys() const { return keys_; }
  const T* values() const { return values_; }

 private:
  static const T* pack_keys(const HeadRows<T>& k, int64_t width, T* target) {
    const size_t bytes = static_cast<size_t>(k.dim) * sizeof(T);
    const size_t rest = static_cast<size_t>(width - k.dim) * sizeof(T);
    for (int64_t i = 0; i < k.rows; ++i) {
      std::memcpy(target + i * width, k.row(i), bytes);
      std::memset(target + i * width + k.dim, 0, rest);
    }
    const int64_t rows = round_up(k.rows, kChunkRows);
    std::memset(target + k.rows * width, 0,
                static_cast<size_t>((rows - k.rows) * width) * sizeof(T));
    return target;
  }
  static const T* pack_values(const HeadRows<T>& v, int64_t width, T* target) {
    for (int64_t at = 0; at < v.rows; at += 16) {
      T* chunk = target + at / kChunkRows * kChunkRows * width + at % kChunkRows;
      const int rows = static_cast<int>(std::min<int64_t>(16, v.rows - at));
      // Zeros to be transposed into, where a chunk is not full: its other half comes later.
      if (rows < 16 || v.rows - at <= 16 || v.dim < width) clear(v, at, width, chunk);
      transpose(rows, v, at, chunk);
    }
    return target;
  }
  static void clear(const HeadRows<T>& v, int64_t at, int64_t width, T* chunk) {
    const bool both = at % kChunkRows == 0 && v.rows - at <= 16;
    for (int64_t d = 0; d < width; ++d)
      std::memset(chunk + d * kChunkRows, 0, sizeof(T) * (both ? kChunkRows : 16));
  }
  static void transpose(int rows, const HeadRows<T>& v, int64_t at, T* chunk) {
    if constexpr (sizeof(T) == 4) {
      gemm_kernels().interleave_32(rows, v.dim, reinterpret_cast<const uint32_t*>(v.row(at)),
                                   v.stride, reinterpret_cast<uint32_t*>(chunk), kChunkRows);
    } else if (rows == 16) {
      sdpa_kernels().transpose_16(v.row(at), v.stride, v.dim, chunk, kChunkRows);
    } else {
      for (int64_t d = 0; d < v.dim; ++d) {
        for (int i = 0; i < rows; ++i) chunk[d * kChunkRows + i] = v.row(at + i)[d];
      }
    }
  }

  const T* keys_;
  const T* values_;
};

/// Packed keys and values, and what takes them.
struct Packed {
  const void* keys;
  const void* values;
  AttentionKernel kernel;
};

AttentionKernel packed_kernel(bool bf16) {
#if defined(__x86_64__)
  if (bf16)
    return isa() >= Isa::amx ? isa_amx::packed_attention : isa_bf16::attention_kernels.packed;
  if (isa() >= Isa::avx512) return isa_avx512::attention_kernels.packed;
  if (isa() >= Isa::avx2) return isa_avx2::attention_kernels.packed;
#endif
  return isa_portable::attention_kernels.packed;
}

/// Everything that the tasks of a call read.
struct Forward {
  SdpaSizes sizes;
  SdpaOptions options;
  Tensor q, k, v;
  SdpaMask mask;
  Tensor out;
  float* lse;
  int64_t width;  // the dim, padded

  template <class T>
  void run(int64_t batch, int64_t kv_head, int64_t row_begin, int64_t row_end) const {
    const HeadRows<T> keys = head_rows<T>(k, batch, kv_head),
                      values = head_rows<T>(v, batch, kv_head);
    if constexpr (sizeof(T) == 4) {
      if (splits_heads(sizes) && split(keys, values, batch, kv_head, row_begin, row_end)) return;
    }
    const PackedHead<T> packed(keys, values, width);
    heads<T>({packed.keys(), packed.values(), packed_kernel(sizeof(T) == 2)}, batch, kv_head,
             row_begin, row_end);
  }

 private:
  template <class T>
  void heads(const Packed& packed, int64_t batch, int64_t kv_head, int64_t row_begin,
             int64_t row_end) const {
    for (int64_t g = 0; g < sizes.group; ++g)
      head<T>(packed, batch, kv_head * sizes.group + g, row_begin, row_end);
  }

  /// By thirds of bf16; false where they do not carry the numbers.
  bool split(const HeadRows<float>& keys, const HeadRows<float>& values, int64_t batch,
             int64_t kv_head, int64_t row_begin, int64_t row_end) const {
#if defined(__x86_64__)
    const SplitHead packed(keys, values);
    for (int64_t g = 0; g < sizes.group; ++g) {
      if (!packed.carries(head_rows<float>(q, batch, kv_head * sizes.group + g))) return false;
    }
    heads<float>({packed.keys(), packed.values(), isa_amx::thirds_attention}, batch, kv_head,
                 row_begin, row_end);
    return true;
#else
    return false;
#endif
  }

  template <class T>
  void head(const Packed& packed, int64_t batch, int64_t head, int64_t row_begin,
            int64_t row_end) const {
    const HeadRows<T> queries = head_rows<T>(q, batch, head);
    const int64_t index = (batch * sizes.heads + head) * sizes.rows;
    AttentionCall call{.queries = nullptr,
                       .query_stride = queries.stride,
                       .out = nullptr,
                       .k_cache = nullptr,
                       .v_cache = nullptr,
                       .cache = sizeof(T) == 2 ? CacheType::bf16 : CacheType::f32,
                       .page_table = nullptr,
                       .max_pages = 0,
                       .heads = 1,
                       .kv_heads = 1,
                       .group = 1,
                       .dim = sizes.dim,
                       .page_size = 0,
                       .scale = static_cast<float>(options.scale),
                       .soft_cap = static_cast<float>(options.soft_cap),
                       .window = options.window,
                       .causal = options.causal,
                       .mask = mask.head(batch, head),
                       .mask_row_stride = mask.row_stride(),
                       .mask_key_stride = mask.key_stride()};
    std::byte* workspace = scratch(Scratch::panel, attention_workspace(sizes.dim));
    for (int64_t row = row_begin; row < row_end; row += kAttentionRows) {
      const int64_t end = std::min(row_end, row + kAttentionRows);
      AttentionItem item = item_of(row, end);
      item.keys = packed.keys, item.values = packed.values;
      item.lse = lse + index + row;
      if constexpr (sizeof(T) == 4) {
        call.queries = queries.data;
        call.out = static_cast<float*>(out.raw()) + index * sizes.dim;
        packed.kernel(call, item, workspace);
      } else {
        through_f32(queries, call, item, index, packed.kernel, workspace);
      }
    }
  }

  AttentionItem item_of(int64_t row, int64_t end) const {
    const int64_t columns = sizes.columns;
    AttentionItem item{};
    item.length = columns;
    item.row_begin = row, item.row_end = end;
    item.kv_end = options.causal ? std::min(columns, end) : columns;
    if (options.window > 0)
      item.kv_begin = std::max<int64_t>(0, row - options.window + 1) / kChunkRows * kChunkRows;
    return item;
  }

  /// bf16 rows of queries and of the result, which the kernel has in f32.
  void through_f32(const HeadRows<uint16_t>& queries, AttentionCall& call,
                   const AttentionItem& item, int64_t index, AttentionKernel kernel,
                   std::byte* workspace) const {
    const int64_t dim = sizes.dim, count = item.row_end - item.row_begin;
    const GemmKernels& kernels = gemm_kernels();
    auto* wide = reinterpret_cast<float*>(scratch(Scratch::rows, 2 * kAttentionRows * dim * 4));
    float* result = wide + kAttentionRows * dim;
    for (int64_t i = 0; i < count; ++i)
      kernels.bf16_to_f32(queries.row(item.row_begin + i), wide + i * dim, dim);
    call.queries = wide - item.row_begin * dim;
    call.query_stride = dim;
    call.out = result - item.row_begin * dim;
    kernel(call, item, workspace);
    kernels.f32_to_bf16(result, static_cast<uint16_t*>(out.raw()) + (index + item.row_begin) * dim,
                        count * dim);
  }
};

void forward(Inputs in, Outputs out, const SdpaOptions& options) {
  const SdpaSizes sizes(in);
  const bool bf16 = multiplies_bf16(in[0].dtype());
  const bool convert = in[0].dtype() != DType::f32 && !bf16;
  auto operand = [&](const Tensor& x) { return with_rows(convert ? x.to(DType::f32) : x); };
  const Tensor result = convert ? Tensor::empty(out[0].shape(), DType::f32) : out[0];
  const int64_t unit = bf16 ? 32 : 8;
  const Forward call{sizes,
                     options,
                     operand(in[0]),
                     operand(in[1]),
                     operand(in[2]),
                     SdpaMask(in[3], sizes),
                     result,
                     out[1].data<float>(),
                     round_up(sizes.dim, unit)};
  // A task has a head's rows, or a part of them where there are fewer heads than threads like.
  const int64_t heads = sizes.batch * sizes.kv_heads;
  const int64_t blocks = ceil_div(sizes.rows, kAttentionRows);
  const int64_t wanted = ceil_div(int64_t{4} * num_threads(), heads);
  const int64_t parts = num_threads() == 1 ? 1 : std::clamp<int64_t>(wanted, 1, blocks);
  const int64_t part = ceil_div(blocks, parts) * kAttentionRows;
  parallel_for(heads * parts, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t head = t / parts, from = t % parts * part;
      const int64_t to = std::min(sizes.rows, from + part);
      if (from >= to) continue;
      if (bf16) {
        call.run<uint16_t>(head / sizes.kv_heads, head % sizes.kv_heads, from, to);
      } else {
        call.run<float>(head / sizes.kv_heads, head % sizes.kv_heads, from, to);
      }
    }
  });
  if (convert) info(out[0].dtype()).from_f32(result.data<float>(), out[0].raw(), out[0].numel());
}

}  // namespace

const SdpaKernels& sdpa_kernels() {
  static const SdpaKernels& chosen = TALLOW_BY_ISA(sdpa_kernels);
  return chosen;
}

void bind_sdpa() {
  sdpa_op.bind(DeviceKind::cpu, forward);
  bind_sdpa_backward();
}

}  // namespace tallow::cpu
