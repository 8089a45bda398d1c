// paged_attention: causal attention of ragged queries over the paged cache. The kernel here is the
// definition, a query at a time; the CPU backend binds tiled ones (Dao et al. 2022, arXiv
// 2205.14135).
#include "ops/inference/paged_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/rows.h"

namespace tallow {

namespace {

void check_index(const char* what, const Tensor& x, int dims) {
  if (x.dtype() != DType::i32 || x.dim() != dims)
    fail("paged_attention: ", what, " is ", x, "; it needs i32 of ", dims, " dimensions");
}

Specs infer(Inputs in, const AttentionOptions&) {
  const Tensor &q = in[0], &k = in[1], &v = in[2];
  if (q.dtype() != DType::f32 || q.dim() != 3)
    fail("paged_attention: queries are ", q, "; they need f32 [tokens, heads, dim]");
  if (k.dtype() != v.dtype() || !is_cache_type(k.dtype()) || !is_cache(k, v))
    fail("paged_attention: caches are ", k, " and ", v,
         "; they need f32, bf16 or f16 [pages, kv_heads, page_size, dim] and [.., dim, page_size], "
         "or q8_0 or q4_0 [pages, kv_heads, page_size, dim]");
  if (q.size(2) != k.size(3) || k.size(1) == 0 || q.size(1) % k.size(1) != 0)
    fail("paged_attention: queries ", q, " do not fit the cache ", k,
         "; heads must be a multiple of kv_heads and dims equal");
  if (k.size(2) == 0) fail("paged_attention: the cache ", k, " has pages of no slots");
  check_index("query_starts", in[3], 1);
  check_index("lengths", in[4], 1);
  check_index("page_table", in[5], 2);
  if (in.size() > 6 && in[6]) check_index("visible", in[6], 1);
  if (in[3].size(0) != in[4].size(0) + 1 || in[5].size(0) != in[4].size(0))
    fail("paged_attention: query_starts ", in[3], ", lengths ", in[4], " and page_table ", in[5],
         " disagree; they need [n + 1], [n] and [n, max_pages]");
  return {{q.shape(), DType::f32}};
}

/// What one query of one head sees: the positions [begin, end) of a sequence.
struct Query {
  const float* q;
  float* out;
  int64_t sequence, kv_head, begin, end;
};

struct Reference {
  const PagedInputs& in;
  const AttentionOptions& options;
  Tensor k_f32, v_f32;  // the caches as f32
  std::vector<float> scores;

  Reference(const PagedInputs& inputs, const AttentionOptions& o)
      : in(inputs), options(o), k_f32(as_f32(inputs.k_cache)), v_f32(as_f32(inputs.v_cache)) {}

  /// The offset of the page that holds position p, and p's place in it.
  int64_t page(const Query& query, int64_t p) const {
    const int64_t index = query.sequence * in.max_pages + p / in.page_size;
    const int64_t number = in.page_table.data<int32_t>()[index];
    return (number * in.kv_heads + query.kv_head) * in.page_size * in.dim;
  }

  void run(const Query& query) {
    scores.assign(static_cast<size_t>(query.end - query.begin), 0.f);
    float top = -std::numeric_limits<float>::infinity(), total = 0;
    for (int64_t p = query.begin; p < query.end; ++p) {
      const float* k = k_f32.data<float>() + page(query, p) + p % in.page_size * in.dim;
      float dot = 0;
      for (int64_t d = 0; d < in.dim; ++d) dot += query.q[d] * k[d];
      dot *= options.scale;
      if (options.soft_cap > 0) dot = options.soft_cap * std::tanh(dot / options.soft_cap);
      scores[static_cast<size_t>(p - query.begin)] = dot;
      top = std::max(top, dot);
    }
    for (float& s : scores) total += s = std::exp(s - top);
    std::fill_n(query.out, in.dim, 0.f);
    for (int64_t p = query.begin; p < query.end; ++p) {
      const bool rows = is_block(in.v_cache.dtype());
      const int64_t slot = p % in.page_size, step = rows ? 1 : in.page_size;
      const float* v = v_f32.data<float>() + page(query, p) + (rows ? slot * in.dim : slot);
      const float weight = scores[static_cast<size_t>(p - query.begin)] / total;
      for (int64_t d = 0; d < in.dim; ++d) query.out[d] += weight * v[d * step];
    }
  }
};

void cpu(Inputs in, Outputs out, const AttentionOptions& options) {
  const PagedInputs inputs(in);
  Reference reference(inputs, options);
  const Tensor queries = inputs.queries.contiguous();
  const int64_t group = inputs.heads / inputs.kv_heads;
  for (int64_t s = 0; s < inputs.sequences; ++s) {
    for (int64_t i = 0; i < inputs.queries_of(s); ++i) {
      const int64_t end = inputs.end(s, i), next = inputs.first_position(s) + i + 1;
      const int64_t begin = options.window > 0 ? std::max<int64_t>(0, next - options.window) : 0;
      for (int64_t h = 0; h < inputs.heads; ++h) {
        const int64_t row = ((inputs.start(s) + i) * inputs.heads + h) * inputs.dim;
        reference.run(
            {queries.data<float>() + row, out[0].data<float>() + row, s, h / group, begin, end});
      }
    }
  }
}

Work work(Inputs in, Outputs out, const AttentionOptions& options) {
  const PagedInputs inputs(in);
  double pairs = 0, cached = 0;
  for (int64_t s = 0; s < inputs.sequences; ++s) {
    const auto n = static_cast<double>(inputs.queries_of(s));
    const auto length = static_cast<double>(inputs.length(s));
    const double seen = options.window > 0 ? static_cast<double>(options.window) : length;
    pairs += n * std::min(seen, length - (n - 1) / 2);
    cached += std::min(length, seen + n);
  }
  const double width = static_cast<double>(inputs.dim);
  const DTypeInfo& type = info(inputs.k_cache.dtype());
  const double element = static_cast<double>(type.bytes) / type.block;
  return {.flops = 4 * pairs * width * static_cast<double>(inputs.heads),
          .bytes = 2 * cached * width * element * static_cast<double>(inputs.kv_heads) +
                   static_cast<double>(in[0].nbytes() + out[0].nbytes())};
}

}  // namespace

PagedInputs::PagedInputs(Inputs in)
    : queries(in[0]),
      k_cache(in[1].contiguous()),
      v_cache(in[2].contiguous()),
      query_starts(in[3].contiguous()),
      lengths(in[4].contiguous()),
      page_table(in[5].contiguous()),
      visible(in.size() > 6 && in[6] ? in[6].contiguous() : Tensor()),
      tokens(queries.size(0)),
      heads(queries.size(1)),
      kv_heads(k_cache.size(1)),
      dim(queries.size(2)),
      page_size(k_cache.size(2)),
      sequences(lengths.size(0)),
      max_pages(page_table.size(1)) {
  const int64_t pages = k_cache.size(0);
  if (start(0) != 0 || start(sequences) != tokens)
    fail("paged_attention: query_starts run from ", start(0), " to ", start(sequences),
         "; they need 0 to ", tokens);
  for (int64_t s = 0; s < sequences; ++s) {
    const int64_t used = (length(s) + page_size - 1) / page_size;
    if (queries_of(s) < 0 || length(s) < queries_of(s) || used > max_pages)
      fail("paged_attention: sequence ", s, " has ", queries_of(s), " queries, length ", length(s),
           " and ", max_pages, " pages of ", page_size, "; the queries' own keys come first");
    for (int64_t p = 0; p < used; ++p) {
      const int64_t page = page_table.data<int32_t>()[s * max_pages + p];
      if (page < 0 || page >= pages)
        fail("paged_attention: page ", page, " of sequence ", s, " is outside a cache of ", pages,
             "; allocate it first");
    }
  }
  if (visible) check_visible();
}

void PagedInputs::check_visible() const {
  if (visible.size(0) != tokens)
    fail("paged_attention: visible is ", visible, "; queries ", queries, " need i32 [", tokens,
         "]");
  for (int64_t s = 0; s < sequences; ++s) {
    for (int64_t i = 1; i < queries_of(s); ++i) {
      if (end(s, i) < end(s, i - 1))
        fail("paged_attention: visible falls from ", end(s, i - 1), " to ", end(s, i),
             " within sequence ", s, "; a later query must see as far");
    }
  }
}

constinit Op<AttentionOptions> paged_attention_op{"paged_attention",
                                                  {.infer = infer, .cpu = cpu, .work = work}};

Tensor paged_attention(const Tensor& queries, const Tensor& k_cache, const Tensor& v_cache,
                       const Tensor& query_starts, const Tensor& lengths, const Tensor& page_table,
                       const AttentionOptions& options, const Tensor& visible) {
  const bool blocks = is_block(k_cache.dtype());
  const Tensor result = apply(paged_attention_op,
                              {blocks ? spread(queries) : queries, k_cache, v_cache, query_starts,
                               lengths, page_table, visible},
                              options);
  return blocks ? spread(result) : result;
}

}  // namespace tallow
