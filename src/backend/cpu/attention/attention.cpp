// Binds paged_attention: divides a call into items of (sequence, KV head, rows, range of
// positions), runs them on the kernels of this machine, and merges the ranges of a row. The
// division depends on the inputs alone, so the result does not depend on the number of threads.
#include "backend/cpu/attention/attention.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
#include <vector>

#include "backend/cpu/fused.h"
#include "backend/cpu/kernels.h"
#include "ops/inference/paged_attention.h"
#include "tallow/error.h"
#include "tallow/parallel.h"

namespace tallow::cpu {

namespace {

constexpr int64_t kLargestDim = 1024;  // of a head; past it the portable kernel serves
constexpr int64_t kApart = 8;          // tokens of a sequence
constexpr int64_t kInline = 1 << 18;   // below this much work, other threads cost more than they do
constexpr int64_t kAlways = std::numeric_limits<int64_t>::max();

struct Kernels {
  AttentionKernels f32, bf16;  // by what a cache is computed in
  // `few` is the faster one up to so many rows, and in bf16 over so many positions at most: AMX
  // tiles win as soon as they are reasonably full.
  int64_t few_rows, few_positions;
  AttentionKernel blocks;  // `few` of caches of blocks
} kernels;

CacheType cache_type(DType dtype) {
  switch (dtype) {
    case DType::bf16: return CacheType::bf16;
    case DType::f16: return CacheType::f16;
    case DType::q8_0: return CacheType::q8_0;
    case DType::q4_0: return CacheType::q4_0;
    default: return CacheType::f32;
  }
}

bool is_blocks(CacheType type) { return type == CacheType::q8_0 || type == CacheType::q4_0; }

/// Where the machine can: blocks are less precise than bf16, and f16 is more.
bool computed_in_bf16(CacheType type) { return type != CacheType::f32 && type != CacheType::f16; }

Kernels choose() {
#if defined(__x86_64__)
  const Isa level = isa();
  if (level >= Isa::avx512_bf16) {
    AttentionKernels bf16 = isa_bf16::attention_kernels;
    if (level < Isa::amx)
      return {isa_avx512::attention_kernels, bf16, 8, kAlways, isa_avx512::blocks_attention};
    bf16.tiled = isa_amx::tiled_attention;
    return {isa_avx512::attention_kernels, bf16, 8, 128, isa_amx::blocks_attention};
  }
  if (level >= Isa::avx512)
    return {isa_avx512::attention_kernels, isa_avx512::attention_kernels, 8, kAlways,
            isa_avx512::blocks_attention};
  if (level >= Isa::avx2)
    return {isa_avx2::attention_kernels, isa_avx2::attention_kernels, 8, kAlways,
            isa_avx2::blocks_attention};
#endif
  return {isa_portable::attention_kernels, isa_portable::attention_kernels, 4, kAlways,
          isa_portable::blocks_attention};
}

/// The scratch memory of this thread, kept from call to call.
std::byte* workspace(int64_t bytes) {
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  thread_local std::unique_ptr<std::byte, Free> memory;
  thread_local int64_t size = 0;
  if (size < bytes) {
    memory.reset();
    size = 0;
    const int64_t rounded = (bytes + 4095) / 4096 * 4096;
    memory.reset(static_cast<std::byte*>(std::aligned_alloc(4096, static_cast<size_t>(rounded))));
    if (!memory) fail("paged_attention: no memory for ", bytes, " bytes of scratch; free some");
    size = rounded;
  }
  return memory.get();
}

/// The ranges that a block of rows was split into, to be merged.
struct Merge {
  AttentionItem first;
  int64_t ranges, partial;  // offset of the first range's partial results
};

struct Planned {
  AttentionItem item;
  int64_t partial;  // offset of the item's partial results, or -1
};

struct Plan {
  std::vector<Planned> items;
  std::vector<Merge> merges;
  int64_t partial_floats = 0;
  int64_t cost = 0;

  void clear() {
    items.clear();
    merges.clear();
    partial_floats = cost = 0;
  }
};

/// How many positions an item takes when its rows are split.
int64_t range_length(int64_t positions, int64_t rows) {
  if (rows > 32) return 1024;
  return positions <= 2048 ? 256 : 512;
}

void plan_rows(Plan& plan, AttentionItem item, const PagedInputs& in, const AttentionCall& call,
               bool one_block) {
  const int64_t group = call.group, rows = item.row_end - item.row_begin;
  const int64_t first = item.first_position + item.row_begin / group;
  const int64_t end = in.end(item.sequence, (item.row_end - 1) / group);
  const int64_t seen = call.window > 0 ? std::max<int64_t>(0, first - call.window + 1) : 0;
  const int64_t begin = seen / kAttentionChunk * kAttentionChunk;
  plan.cost += (rows + 4) * (end - begin) * call.dim;
  item.kv_begin = begin;
  item.kv_end = end;
  const int64_t step = range_length(end - begin, rows);
  if (!one_block || end - begin <= step) return plan.items.push_back({item, -1});

  const int64_t ranges = (end - begin + step - 1) / step;
  plan.merges.push_back({item, ranges, plan.partial_floats});
  for (int64_t r = 0; r < ranges; ++r) {
    item.kv_begin = begin + r * step;
    item.kv_end = std::min(end, item.kv_begin + step);
    plan.items.push_back({item, plan.partial_floats});
    plan.partial_floats += rows * (call.dim + 2);
  }
}

void make_plan(Plan& plan, const PagedInputs& in, const AttentionCall& call) {
  plan.clear();
  for (int64_t s = 0; s < in.sequences; ++s) {
    const int64_t rows = in.queries_of(s) * call.group;
    // Few tokens go one by one, so that each gets what it would get alone: drafts are checked so.
    const bool apart = in.queries_of(s) <= kApart && call.group <= kAttentionRows;
    const int64_t step = apart ? call.group : kAttentionRows;
    AttentionItem item{.sequence = s,
                       .kv_head = 0,
                       .first_token = in.start(s),
                       .first_position = in.first_position(s),
                       .length = in.length(s),
                       .row_begin = 0,
                       .row_end = 0,
                       .kv_begin = 0,
                       .kv_end = 0,
                       .partial = nullptr};
    // The last rows see the most: they come first, so that no thread ends on a long one.
    for (int64_t row = (rows - 1) / step * step; rows > 0 && row >= 0; row -= step) {
      item.row_begin = row;
      item.row_end = std::min(rows, row + step);
      for (item.kv_head = 0; item.kv_head < in.kv_heads; ++item.kv_head)
        plan_rows(plan, item, in, call, apart || rows <= kAttentionRows);
    }
  }
}

/// Adds up the ranges of each row, weighted by how far their maxima are below the largest.
void merge_ranges(const Merge& merge, const AttentionCall& call, const float* partials) {
  const int64_t dim = call.dim, group = call.group;
  const int64_t rows = merge.first.row_end - merge.first.row_begin;
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t row = merge.first.row_begin + r;
    const float* first = partials + merge.partial + r * (dim + 2);
    const int64_t step = rows * (dim + 2);
    float top = first[dim], total = 0;
    for (int64_t i = 1; i < merge.ranges; ++i) top = std::max(top, first[i * step + dim]);
    float* out = call.out + ((merge.first.first_token + row / group) * call.heads +
                             merge.first.kv_head * group + row % group) *
                                dim;
    std::fill_n(out, dim, 0.f);
    for (int64_t i = 0; i < merge.ranges; ++i) {
      const float* part = first + i * step;
      const float weight = std::exp2(part[dim] - top);
      total += weight * part[dim + 1];
      for (int64_t d = 0; d < dim; ++d) out[d] += weight * part[d];
    }
    for (int64_t d = 0; d < dim; ++d) out[d] /= total;
  }
}

void run_plan(const Plan& plan, const AttentionCall& call) {
  Tensor partials = plan.partial_floats ? Tensor::empty({plan.partial_floats}) : Tensor();
  float* sums = partials ? partials.data<float>() : nullptr;
  const int64_t bytes = attention_workspace(call.dim);
  const bool narrow = computed_in_bf16(call.cache);
  const AttentionKernels& table = narrow ? kernels.bf16 : kernels.f32;
  const int64_t few_positions = narrow ? kernels.few_positions : kAlways;
  auto run = [&](int64_t begin, int64_t end, int) {
    std::byte* scratch = workspace(bytes);
    for (int64_t i = begin; i < end; ++i) {
      AttentionItem item = plan.items[static_cast<size_t>(i)].item;
      const int64_t partial = plan.items[static_cast<size_t>(i)].partial;
      if (partial >= 0) item.partial = sums + partial;
      const int64_t rows = item.row_end - item.row_begin;
      if (is_blocks(call.cache) && rows <= kBlockRows) {
        kernels.blocks(call, item, scratch);
        continue;
      }
      const bool few = rows <= kernels.few_rows && item.kv_end - item.kv_begin <= few_positions;
      (few ? table.few : table.tiled)(call, item, scratch);
    }
  };
  const auto count = static_cast<int64_t>(plan.items.size());
  if (plan.cost < kInline) {
    run(0, count, 0);
  } else {
    parallel_for(count, 1, run);
  }
  for (const Merge& merge : plan.merges) merge_ranges(merge, call, sums);
}

void paged_attention(Inputs in, Outputs out, const AttentionOptions& options) {
  if (in[0].size(2) > kLargestDim) return paged_attention_op.fn.cpu(in, out, options);
  const PagedInputs inputs(in);
  const Tensor queries = token_rows(inputs.queries);
  const AttentionCall call{.queries = queries.data<float>(),
                           .query_stride = token_stride(queries),
                           .out = out[0].data<float>(),
                           .k_cache = inputs.k_cache.raw(),
                           .v_cache = inputs.v_cache.raw(),
                           .cache = cache_type(inputs.k_cache.dtype()),
                           .page_table = inputs.page_table.data<int32_t>(),
                           .max_pages = inputs.max_pages,
                           .heads = inputs.heads,
                           .kv_heads = inputs.kv_heads,
                           .group = inputs.heads / inputs.kv_heads,
                           .dim = inputs.dim,
                           .page_size = inputs.page_size,
                           .scale = options.scale,
                           .soft_cap = options.soft_cap,
                           .window = options.window,
                           .visible = inputs.visible ? inputs.visible.data<int32_t>() : nullptr};
  if (out[0].numel() == 0) return;
  thread_local Plan plan;
  make_plan(plan, inputs, call);
  run_plan(plan, call);
}

}  // namespace

void bind_attention() {
  kernels = choose();
  paged_attention_op.bind(DeviceKind::cpu, paged_attention);
}

}  // namespace tallow::cpu
