// The fused ops: the bound kernel, the portable kernel and the composite agree, for every dtype
// and layout that the op takes; what it refuses, it names.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "ops/registry.h"
#include "tallow/autograd.h"
#include "tallow/error.h"

using namespace tallow;

namespace {

Tensor noise(const Shape& shape, DType dtype = DType::f32) {
  static std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(shape.numel()));
  for (float& v : values) v = normal(random);
  const Tensor x = Tensor::from(std::span<const float>(values), shape);
  return dtype == DType::f32 ? x : x.to(dtype);
}

Tensor ints(const std::vector<int32_t>& values) {
  return Tensor::from(std::span<const int32_t>(values), {static_cast<int64_t>(values.size())});
}

void check_close(const Tensor& a, const Tensor& b, double bound) {
  REQUIRE(a.shape() == b.shape());
  REQUIRE(a.dtype() == b.dtype());
  const std::vector<float> x = a.to_vector(), y = b.to_vector();
  double most = 0;
  for (size_t i = 0; i < x.size(); ++i)
    most = std::max(most, static_cast<double>(std::abs(x[i] - y[i])));
  CHECK(most <= bound);
}

/// Checks the op's bound and portable kernels and its composite against each other.
template <class O>
void check_agree(const Op<O>& op, const Tensors& inputs, const O& options, double bound = 4e-6) {
  CAPTURE(op.name);
  CAPTURE(to_string(inputs[0].dtype()));
  const Tensors bound_outputs = apply_many(op, inputs, options);
  Tensors portable;
  for (const Tensor& t : bound_outputs) portable.push_back(Tensor::empty(t.shape(), t.dtype()));
  op.fn.cpu(inputs, portable, options);
  const Tensors composite = op.fn.composite(inputs, options);
  for (size_t i = 0; i < bound_outputs.size(); ++i) {
    check_close(bound_outputs[i], portable[i], bound);
    check_close(composite[i], portable[i], bound);
  }
}

}  // namespace

TEST_CASE("bound kernels, portable kernels and composites of the fused ops agree") {
  for (DType dtype : {DType::f32, DType::f64, DType::bf16, DType::f16}) {
    const double bound = dtype == DType::bf16 ? 0.1 : dtype == DType::f16 ? 0.01 : 4e-6;
    const Tensor x = noise({5, 77}, dtype), y = noise({5, 77}, dtype), w = noise({77}, dtype);
    check_agree(rms_norm_op, {x, w}, {1e-6}, bound);
    check_agree(add_rms_norm_op, {x, y, w}, {1e-6}, bound);
    check_agree(swiglu_op, {x, y}, {}, bound);
    for (int dim : {0, 1}) check_agree(softmax_op, {x, y}, {dim}, bound);
    const Tensor heads = noise({4, 3, 20}, dtype), positions = ints({0, 1, 7, 300});
    for (int64_t half : {10, 6}) {
      check_agree(rope_op, {heads, positions, noise({half})}, {false, 1.f}, bound);
      check_agree(rope_op, {heads, positions, noise({half})}, {true, 1.5f}, bound);
    }
    const Tensor planes = ints({0, 1, 7, 300, 2, 2, 9, 0}).reshape({4, 2});
    for (int64_t half : {5, 2}) {
      check_agree(rope_op, {heads, planes, noise({half})}, {false, 1.f}, bound);
      check_agree(rope_op, {heads, planes, noise({half})}, {true, 1.5f}, bound);
    }
  }
}

TEST_CASE("fused ops take strided views") {
  const Tensor wide = noise({6, 100});
  const Tensor x = wide.narrow(1, 3, 64), y = wide.narrow(1, 20, 64), w = noise({64});
  CHECK(rms_norm(x, w.shape(), w).to_vector() == rms_norm(x.clone(), w.shape(), w).to_vector());
  CHECK(add_rms_norm(x, y, w)[1].to_vector() ==
        add_rms_norm(x.clone(), y.clone(), w)[1].to_vector());
  CHECK(softmax(x, 1).to_vector() == softmax(x.clone(), 1).to_vector());
  check_close(swiglu(x, y), swiglu(x.clone(), y.clone()), 1e-6);
  const Tensor heads = noise({6, 5, 16}).narrow(1, 1, 3), frequencies = noise({8});
  const Tensor positions = ints({5, 4, 3, 2, 1, 0});
  CHECK(rope(heads, positions, frequencies).to_vector() ==
        rope(heads.clone(), positions, frequencies).to_vector());
}

TEST_CASE("kv_cache_write equals the portable kernel, from slices of wider rows") {
  for (DType dtype : {DType::f32, DType::bf16}) {
    const Tensor rows = noise({70, 6, 20});
    std::vector<int32_t> slots;
    for (int32_t i = 0; i < 70; ++i) slots.push_back((i * 3 + i / 30) % 96 / 3 + (i % 3) * 32);
    const Tensors caches{Tensor::zeros({3, 2, 32, 20}, dtype),
                         Tensor::zeros({3, 2, 20, 32}, dtype)};
    const Tensors expected{caches[0].clone(), caches[1].clone()};
    const Tensor keys = rows.narrow(1, 1, 2), values = rows.narrow(1, 4, 2);
    for (bool neighbours : {false, true}) {
      if (neighbours) {
        for (int32_t i = 0; i < 70; ++i) slots[static_cast<size_t>(i)] = 20 + i;
      }
      kv_cache_write(caches[0], caches[1], keys, values, ints(slots));
      const Tensors inputs{expected[0], expected[1], keys, values, ints(slots)};
      kv_cache_write_op.fn.cpu(inputs, expected, {});
      for (size_t i = 0; i < 2; ++i) CHECK(caches[i].to_vector() == expected[i].to_vector());
    }
  }
}

TEST_CASE("embedding reads quantized rows") {
  const Tensor weight = noise({9, 64}).to(DType::q8_0);
  const Tensor ids = ints({8, 0, 3, 3});
  const std::vector<float> rows = embedding_rows(weight, ids).to_vector();
  const std::vector<float> all = weight.to(DType::f32).to_vector();
  for (size_t i = 0; i < 4; ++i) {
    const auto id = static_cast<size_t>(std::vector{8, 0, 3, 3}[i]);
    for (size_t d = 0; d < 64; ++d) CHECK(rows[i * 64 + d] == all[id * 64 + d]);
  }
}

TEST_CASE("fused ops name what does not fit") {
  const Tensor x = noise({2, 8}), w = noise({7});
  CHECK_THROWS_WITH_AS(rms_norm(x, w.shape(), w), doctest::Contains("does not end with"), Error);
  CHECK_THROWS_WITH_AS(swiglu(x, w), doctest::Contains("one shape and dtype"), Error);
  CHECK_THROWS_WITH_AS(softmax(x, 2), doctest::Contains("softmax"), Error);
  CHECK_THROWS_WITH_AS(softmax(ints({1}), 0), doctest::Contains("call .to(f32)"), Error);
  CHECK_THROWS_WITH_AS(embedding_rows(x, ints({2})), doctest::Contains("id 2 is outside"), Error);
  CHECK_THROWS_WITH_AS(rope(noise({2, 1, 8}), ints({0}), noise({4})),
                       doctest::Contains("positions"), Error);
  CHECK_THROWS_WITH_AS(rope(noise({1, 1, 8}), ints({0}), noise({5})),
                       doctest::Contains("frequencies"), Error);
}

TEST_CASE("routed_linear, linear and embedding take every block type") {
  const std::vector<int32_t> ids{1, 0, 1};
  const Tensor experts = Tensor::from(std::span<const int32_t>(ids), {3, 1});
  const Tensor weight = noise({2, 8, 256}), x = noise({3, 1, 256});
  int types = 0;
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (!is_block(dtype) || info(dtype).gguf < 0) continue;
    CAPTURE(dtype);
    const Tensor stored = weight.to(dtype), exact = stored.to(DType::f32);
    const auto near = [](const Tensor& a, const Tensor& b) {
      const std::vector<float> u = a.to_vector(), v = b.to_vector();
      double off = 0, all = 0;
      for (size_t k = 0; k < u.size(); ++k) {
        off += static_cast<double>((u[k] - v[k]) * (u[k] - v[k]));
        all += static_cast<double>(v[k] * v[k]);
      }
      return off <= 4e-4 * all;  // activations become 8 bits
    };
    CHECK(near(routed_linear(x, stored, experts), routed_linear(x, exact, experts)));
    CHECK(near(linear(x, stored.select(0, 1)), linear(x, exact.select(0, 1))));
    const Tensor rows = Tensor::from(std::span<const int32_t>(ids), {3});
    CHECK(
        near(embedding_rows(stored.select(0, 1), rows), embedding_rows(exact.select(0, 1), rows)));
    ++types;
  }
  CHECK(types >= 27);
}

TEST_CASE("paged_attention has no gradient, and says so") {
  Tensor q = noise({1, 1, 8}).requires_grad_();
  const Tensor k = Tensor::zeros({1, 1, 32, 8}), v = Tensor::zeros({1, 1, 8, 32});
  const Tensor table = ints({0}).reshape({1, 1});
  const Tensor y = paged_attention(q, k, v, ints({0, 1}), ints({1}), table, {});
  CHECK_THROWS_WITH_AS(y.backward(noise({1, 1, 8})), doctest::Contains("paged_attention"), Error);
}

TEST_CASE("routed_linear gives each row its expert's product, and reads no other weight") {
  const std::vector<int32_t> ids{3, 0, 3, 3, 1, 0, 3, 1};
  const Tensor experts = Tensor::from(std::span<const int32_t>(ids), {4, 2});
  Tensor weight = noise({5, 7, 64});
  for (const int64_t rows : {1, 2}) {
    const Tensor x = noise({4, rows, 64});
    for (const DType dtype : {DType::f32, DType::bf16, DType::q8_0}) {
      const Tensor stored = weight.to(dtype);
      const Tensors inputs{x, stored, experts};
      const Tensor expected = routed_linear_op.fn.composite(Inputs(inputs), {})[0];
      const Tensor y = routed_linear(x, stored, experts.to(DType::i64));
      REQUIRE(y.shape() == Shape{4, 2, 7});
      const std::vector<float> a = y.to_vector(), b = expected.to_vector();
      for (size_t i = 0; i < a.size(); ++i) {
        CHECK(std::abs(a[i] - b[i]) < (dtype == DType::q8_0 ? 0.5F : 1e-4F));
      }
    }
  }
  // Experts 2 and 4 have no rows.
  for (const int64_t idle : {2, 4}) std::fill_n(weight.data<float>() + idle * 7 * 64, 7 * 64, NAN);
  for (const float v : routed_linear(noise({4, 1, 64}), weight, experts).to_vector()) {
    CHECK(std::isfinite(v));
  }
  const std::vector<int32_t> far{5};
  CHECK_THROWS_WITH_AS(
      routed_linear(noise({1, 1, 64}), weight, Tensor::from(std::span<const int32_t>(far), {1, 1})),
      doctest::Contains("expert 5"), Error);
}
