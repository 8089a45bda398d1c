// The tiled attention kernels against the op's portable one, on ragged batches with shuffled pages.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>

#include "ops/inference/paged_attention.h"
#include "ops/registry.h"
#include "tallow/error.h"
#include "tallow/parallel.h"

using namespace tallow;

namespace {

struct Sequence {
  int64_t length, queries;
};

struct Case {
  std::vector<Sequence> sequences;
  int64_t heads, kv_heads, dim, page_size;
  AttentionOptions options = {};
};

struct Batch {
  Tensor queries, k_cache, v_cache, starts, lengths, pages, visible;

  Tensors inputs() const { return {queries, k_cache, v_cache, starts, lengths, pages, visible}; }
};

Tensor ints(const std::vector<int32_t>& values, const Shape& shape) {
  return Tensor::from(std::span<const int32_t>(values), shape);
}

Tensor noise(std::mt19937& random, const Shape& shape, double scale = 1) {
  std::normal_distribution<float> normal(0, static_cast<float>(scale));
  std::vector<float> values(static_cast<size_t>(shape.numel()));
  for (float& v : values) v = normal(random);
  return Tensor::from(std::span<const float>(values), shape);
}

/// A cache whose unused slots hold NaN, and pages in a random order.
Batch make_batch(const Case& c, DType dtype, std::mt19937& random) {
  std::vector<int32_t> starts{0}, lengths;
  int64_t most = 1, pages = 0, cached = 0;
  for (const Sequence& s : c.sequences) {
    starts.push_back(starts.back() + static_cast<int32_t>(s.queries));
    lengths.push_back(static_cast<int32_t>(s.length));
    const int64_t used = (s.length + c.page_size - 1) / c.page_size;
    most = std::max(most, used);
    pages += used;
    cached += s.length;
  }
  std::vector<int32_t> order(static_cast<size_t>(pages + 2));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);
  const auto count = static_cast<int64_t>(c.sequences.size());
  std::vector<int32_t> table(static_cast<size_t>(count * most), -1), slots;
  size_t next = 0;
  for (int64_t s = 0; s < count; ++s) {
    for (int64_t p = 0; p < c.sequences[static_cast<size_t>(s)].length; ++p) {
      int32_t& page = table[static_cast<size_t>(s * most + p / c.page_size)];
      if (page < 0) page = order[next++];
      slots.push_back(static_cast<int32_t>(page * c.page_size + p % c.page_size));
    }
  }
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Shape k_shape{pages + 2, c.kv_heads, c.page_size, c.dim};
  const Shape v_shape{pages + 2, c.kv_heads, c.dim, c.page_size};
  Batch batch{noise(random, {starts.back(), c.heads, c.dim}),
              Tensor::full(k_shape, nan).to(dtype),
              Tensor::full(is_block(dtype) ? k_shape : v_shape, nan).to(dtype),
              ints(starts, {count + 1}),
              ints(lengths, {count}),
              ints(table, {count, most}),
              {}};
  kv_cache_write(batch.k_cache, batch.v_cache, noise(random, {cached, c.kv_heads, c.dim}),
                 noise(random, {cached, c.kv_heads, c.dim}), ints(slots, {cached}));
  return batch;
}

Tensor fast(const Batch& b, const AttentionOptions& o) {
  return paged_attention(b.queries, b.k_cache, b.v_cache, b.starts, b.lengths, b.pages, o,
                         b.visible);
}

Tensor reference(Batch b, const AttentionOptions& o) {
  const bool blocks = is_block(b.k_cache.dtype());
  if (blocks) b.queries = spread(b.queries);
  const Tensors outputs{Tensor::empty(b.queries.shape())};
  paged_attention_op.fn.cpu(b.inputs(), outputs, o);
  return blocks ? spread(outputs[0]) : outputs[0];
}

double largest_difference(const Tensor& a, const Tensor& b) {
  const std::vector<float> x = a.to_vector(), y = b.to_vector();
  double most = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    if (!std::isfinite(x[i])) return std::numeric_limits<double>::infinity();
    most = std::max(most, std::abs(static_cast<double>(x[i]) - static_cast<double>(y[i])));
  }
  return most;
}

const std::vector<Case>& cases() {
  static const std::vector<Case> list{
      {{{1, 1}}, 1, 1, 8, 32, {.scale = 1.f}},
      {{{100, 100}}, 9, 3, 64, 32, {.scale = 0.125f}},
      {{{700, 1}}, 9, 3, 64, 32, {.scale = 0.125f}},
      {{{600, 2}, {33, 33}, {1, 1}, {300, 7}, {290, 1}}, 6, 2, 64, 32, {.scale = 0.125f}},
      {{{150, 150}, {65, 1}}, 4, 4, 40, 32, {.scale = 0.2f}},
      {{{97, 97}, {31, 1}}, 8, 1, 80, 16, {.scale = 0.1f}},
      {{{200, 200}, {200, 3}}, 4, 2, 96, 32, {.scale = 0.1f, .window = 50}},
      {{{500, 1}, {260, 129}}, 4, 2, 128, 64, {.scale = 0.1f, .soft_cap = 5.f, .window = 33}},
      {{{70, 70}, {64, 64}, {2500, 20}, {2400, 1}}, 5, 1, 20, 8, {.scale = 0.2f}},
      {{{50, 50}}, 2, 1, 7, 32, {.scale = 0.3f, .soft_cap = 2.f}},
      {{{40, 0}, {128, 128}, {0, 0}}, 3, 3, 256, 32, {.scale = 0.06f}},
      {{{90, 90}, {77, 1}}, 34, 2, 32, 32, {.scale = 0.2f}},
      {{{77, 1}, {300, 2}, {130, 13}}, 3, 3, 32, 32, {.scale = 0.2f}},
      {{{97, 1}, {31, 1}, {170, 3}}, 16, 2, 64, 16, {.scale = 0.1f, .window = 90}},
      {{{3000, 1}}, 6, 1, 512, 32, {.scale = 0.04f, .soft_cap = 3.f}},
  };
  return list;
}

}  // namespace

TEST_CASE("paged_attention over an f32 cache equals the portable kernel") {
  std::mt19937 random(1);
  for (const Case& c : cases()) {
    const Batch batch = make_batch(c, DType::f32, random);
    CAPTURE(c.dim);
    CAPTURE(c.page_size);
    CAPTURE(c.sequences[0].length);
    CHECK(largest_difference(fast(batch, c.options), reference(batch, c.options)) < 5e-6);
  }
}

TEST_CASE("paged_attention over a bf16 cache is within the rounding of weights to bf16") {
  std::mt19937 random(2);
  for (const Case& c : cases()) {
    const Batch batch = make_batch(c, DType::bf16, random);
    CAPTURE(c.dim);
    CAPTURE(c.page_size);
    CAPTURE(c.sequences[0].length);
    CHECK(largest_difference(fast(batch, c.options), reference(batch, c.options)) < 2e-2);
  }
}

TEST_CASE("paged_attention over f16 and blocks equals the portable kernel") {
  std::mt19937 random(4);
  for (const DType dtype : {DType::f16, DType::q8_0, DType::q4_0}) {
    for (const Case& c : cases()) {
      if (c.dim % info(dtype).block != 0) continue;
      const Batch batch = make_batch(c, dtype, random);
      CAPTURE(c.dim);
      CAPTURE(c.page_size);
      CHECK(largest_difference(fast(batch, c.options), reference(batch, c.options)) <
            (dtype == DType::f16 ? 5e-6 : 2e-2));
    }
  }
}

TEST_CASE("spread multiplies by Hadamard's matrix, which undoes itself") {
  std::mt19937 random(12);
  for (const auto& [dim, n] : {std::pair<int64_t, int64_t>{32, 32}, {96, 32}, {512, 512}}) {
    const Tensor x = noise(random, {3, 2, dim});
    std::vector<float> matrix;
    for (uint64_t i = 0; i < static_cast<uint64_t>(n); ++i) {
      for (uint64_t j = 0; j < static_cast<uint64_t>(n); ++j)
        matrix.push_back((std::popcount(i & j) % 2 ? -1 : 1) / std::sqrt(static_cast<float>(n)));
    }
    const Tensor product =
        matmul(x.reshape({-1, n}), Tensor::from(std::span<const float>(matrix), {n, n}));
    CHECK(largest_difference(spread(x), product.reshape(x.shape())) < 1e-5);
    CHECK(largest_difference(spread(spread(x)), x) < 1e-5);
  }
}

TEST_CASE("paged_attention sees ahead as far as it is told") {
  std::mt19937 random(7);
  for (int64_t window : {0, 9, 70}) {
    for (DType dtype : {DType::f32, DType::bf16}) {
      const Case c{{{300, 300}, {160, 20}, {150, 2}}, 4, 2, 64, 32, {0.125f, 0, window}};
      Batch batch = make_batch(c, dtype, random);
      const Tensor causal = fast(batch, c.options);
      // Images at 10 to 60 and 100 to 240 of the first text, and at 145 to 155 of the second.
      std::vector<int32_t> visible(322, 0);
      for (size_t t = 10; t < 60; ++t) visible[t] = 60;
      for (size_t t = 100; t < 240; ++t) visible[t] = 240;
      for (size_t t = 305; t < 315; ++t) visible[t] = 155;
      batch.visible = ints(visible, {322});
      const Tensor y = fast(batch, c.options);
      CHECK(largest_difference(y, reference(batch, c.options)) <
            (dtype == DType::f32 ? 5e-6 : 2e-2));
      CHECK(largest_difference(y.narrow(0, 10, 40), causal.narrow(0, 10, 40)) > 0.1);
      CHECK(largest_difference(y.narrow(0, 60, 40), causal.narrow(0, 60, 40)) < 1e-6);
      CHECK(largest_difference(y.narrow(0, 320, 2), causal.narrow(0, 320, 2)) < 1e-6);
    }
  }
}

TEST_CASE("paged_attention of queries that see all of their text is the same for the same query") {
  std::mt19937 random(8);
  const Case c{{{77, 77}}, 2, 1, 32, 32, {.scale = 0.5f}};
  Batch batch = make_batch(c, DType::f32, random);
  batch.queries = batch.queries.narrow(0, 0, 1).expand({77, 2, 32}).contiguous();
  batch.visible = ints(std::vector<int32_t>(77, 77), {77});
  const Tensor y = fast(batch, c.options);
  CHECK(largest_difference(y, y.narrow(0, 76, 1).expand({77, 2, 32})) < 1e-6);
}

TEST_CASE("paged_attention refuses a query that sees less far than the one before it") {
  std::mt19937 random(9);
  const Case c{{{40, 3}}, 2, 1, 16, 32, {.scale = 1.f}};
  Batch batch = make_batch(c, DType::f32, random);
  batch.visible = ints({40, 0, 0}, {3});
  CHECK_THROWS_WITH_AS(fast(batch, c.options), doctest::Contains("falls from 40"), Error);
  batch.visible = ints({40}, {1});
  CHECK_THROWS_WITH_AS(fast(batch, c.options), doctest::Contains("visible is"), Error);
}

TEST_CASE("paged_attention does not depend on the number of threads") {
  std::mt19937 random(3);
  for (const Case& c : cases()) {
    for (DType dtype : {DType::f32, DType::bf16, DType::q8_0}) {
      if (c.dim % info(dtype).block != 0) continue;
      const Batch batch = make_batch(c, dtype, random);
      set_num_threads(1);
      const std::vector<float> one = fast(batch, c.options).to_vector();
      for (int threads : {2, 3}) {
        set_num_threads(threads);
        CHECK(fast(batch, c.options).to_vector() == one);
      }
    }
  }
  set_num_threads(0);
}

TEST_CASE("paged_attention reads queries that are a slice of wider rows") {
  std::mt19937 random(4);
  const Case c{{{70, 70}, {9, 1}}, 4, 2, 64, 32, {.scale = 0.125f}};
  Batch batch = make_batch(c, DType::bf16, random);
  const Tensor wide = noise(random, {71, 8, 64});
  batch.queries = wide.narrow(1, 2, 4);
  const Tensor sliced = fast(batch, c.options);
  batch.queries = batch.queries.clone();
  CHECK(sliced.to_vector() == fast(batch, c.options).to_vector());
}

TEST_CASE("paged_attention passes a NaN on to the queries that see it, and to no other sequence") {
  std::mt19937 random(6);
  for (DType dtype : {DType::f32, DType::bf16}) {
    const Case c{{{60, 60}, {50, 50}}, 2, 1, 64, 32, {.scale = 0.125f}};
    Batch batch = make_batch(c, dtype, random);
    const int32_t page = batch.pages.data<int32_t>()[0];
    // A NaN with low bits set, as damaged weights have: arithmetic on its bits could lose it.
    const std::vector<float> odd(64, std::bit_cast<float>(0x7fe50103u));
    const Tensor bad = Tensor::from(std::span<const float>(odd), {1, 1, 64});
    kv_cache_write(batch.k_cache, batch.v_cache, bad, bad, ints({page * 32 + 20}, {1}));
    const std::vector<float> y = fast(batch, c.options).to_vector();
    for (size_t t = 20; t < 110; ++t) CHECK(std::isnan(y[t * 128]) == (t < 60));
  }
}

TEST_CASE("paged_attention over blocks passes a NaN of a query on to its head alone") {
  std::mt19937 random(10);
  const Case c{{{200, 1}}, 8, 2, 64, 32, {.scale = 0.125f}};
  for (DType dtype : {DType::q8_0, DType::q4_0}) {
    Batch batch = make_batch(c, dtype, random);
    batch.queries.data<float>()[3 * 64 + 5] = std::numeric_limits<float>::quiet_NaN();
    const std::vector<float> y = fast(batch, c.options).to_vector();
    for (size_t i = 0; i < y.size(); ++i) CHECK(std::isnan(y[i]) == (i / 64 == 3));
  }
}

TEST_CASE("paged_attention over blocks gives few tokens what it gives them alone") {
  std::mt19937 random(11);
  const Case c{{{700, 8}}, 8, 2, 64, 32, {.scale = 0.125f}};
  for (DType dtype : {DType::q8_0, DType::q4_0}) {
    const Batch all = make_batch(c, dtype, random);
    const Tensor y = fast(all, c.options);
    for (int32_t t = 0; t < 8; ++t) {
      Batch one = all;
      one.queries = all.queries.narrow(0, t, 1);
      one.starts = ints({0, 1}, {2});
      one.lengths = ints({693 + t}, {1});
      CHECK(fast(one, c.options).to_vector() == y.narrow(0, t, 1).to_vector());
    }
  }
}

TEST_CASE("paged_attention names an index that is out of range") {
  std::mt19937 random(5);
  const Case c{{{40, 3}}, 2, 1, 16, 32, {.scale = 1.f}};
  const Batch good = make_batch(c, DType::f32, random);
  Batch batch = good;
  batch.pages = ints({0, 99}, {1, 2});
  CHECK_THROWS_WITH_AS(fast(batch, c.options), doctest::Contains("page 99"), Error);
  batch = good;
  batch.lengths = ints({2}, {1});
  CHECK_THROWS_WITH_AS(fast(batch, c.options), doctest::Contains("length 2"), Error);
  batch.lengths = ints({65}, {1});
  CHECK_THROWS_WITH_AS(fast(batch, c.options), doctest::Contains("length 65"), Error);
  batch = good;
  batch.starts = ints({0, 2}, {2});
  CHECK_THROWS_WITH_AS(fast(batch, c.options), doctest::Contains("query_starts"), Error);
}

TEST_CASE("kv_cache_write refuses a slot outside the cache") {
  const Tensor k = Tensor::zeros({2, 1, 32, 4}), v = Tensor::zeros({2, 1, 4, 32});
  const Tensor row = Tensor::zeros({1, 1, 4});
  for (int32_t slot : {-1, 64}) {
    CHECK_THROWS_WITH_AS(kv_cache_write(k, v, row, row, ints({slot}, {1})),
                         doctest::Contains("slot"), Error);
  }
}
