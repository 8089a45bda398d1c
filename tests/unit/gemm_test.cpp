// Products of every form of weight against sums in f64, for odd sizes and every thread count.
#include "backend/cpu/gemm/gemm.h"

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "core/half.h"
#include "tallow/parallel.h"

using namespace tallow;
using namespace tallow::cpu;

namespace {

// Numbers in [-1, 1) that bf16 holds exactly where asked.
std::vector<float> numbers(int64_t count, uint32_t seed, bool narrow = false) {
  std::vector<float> v(static_cast<size_t>(count));
  for (float& x : v) {
    seed = seed * 1664525u + 1013904223u;
    x = static_cast<float>(static_cast<int32_t>(seed)) * 0x1p-31f;
    if (narrow) x = bf16_to_f32(f32_to_bf16(x));
  }
  return v;
}

struct Case {
  int64_t m, n, k;
  std::vector<float> x, w, bias;
  std::vector<double> expected;
  double tolerance;  // of f32 sums of k products of numbers below 1
  Case(int64_t m_, int64_t n_, int64_t k_, bool narrow = true)
      : m(m_),
        n(n_),
        k(k_),
        x(numbers(m * k, 1, narrow)),
        w(numbers(n * k, 2, narrow)),
        bias(numbers(n, 3)),
        expected(static_cast<size_t>(m * n)),
        tolerance(1e-6 * std::sqrt(static_cast<double>(k)) + 1e-6) {
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        double sum = bias[j];
        for (int64_t c = 0; c < k; ++c) sum += double{x[i * k + c]} * w[j * k + c];
        expected[i * n + j] = sum;
      }
    }
  }
  std::vector<uint16_t> narrow_w() const {
    std::vector<uint16_t> v;
    for (float f : w) v.push_back(f32_to_bf16(f));
    return v;
  }
  Weight weight(Weight::Form form, DType dtype, const void* data) const {
    return {form, dtype, data, n, k, k, 1, bias.data()};
  }
};

template <class T>
double worst(const std::vector<T>& y, const std::vector<double>& expected) {
  double error = y.size() == expected.size() ? 0 : 1e9;
  for (size_t i = 0; i < y.size() && i < expected.size(); ++i) {
    error = std::max(error, std::abs(static_cast<double>(y[i]) - expected[i]));
  }
  return error;
}

constexpr int64_t kSizes[][3] = {{1, 1, 1},     {1, 63, 577}, {2, 17, 63},   {3, 33, 1},
                                 {7, 64, 32},   {8, 95, 300}, {13, 31, 257}, {17, 577, 63},
                                 {25, 48, 577}, {63, 17, 17}, {130, 40, 96}, {785, 9, 65}};

template <class F>
void each_case(const F& check, bool narrow = true) {
  for (const auto& s : kSizes) {
    const Case c(s[0], s[1], s[2], narrow);
    INFO("m ", c.m, " n ", c.n, " k ", c.k, " isa ", std::string(to_string(isa())));
    std::vector<float> first;
    for (int threads : {1, 2, 3}) {
      set_num_threads(threads);
      std::vector<float> y(static_cast<size_t>(c.m * c.n), NAN);
      check(c, y.data());
      CHECK(worst(y, c.expected) <= c.tolerance);
      if (threads == 1) first = y;
      CHECK(y == first);
    }
    set_num_threads(0);
  }
}

Activations<float> rows(const Case& c) { return {c.x.data(), c.m, c.k, c.k, 1}; }
Bf16Rows bf16_rows(const Case& c) { return {c.x.data(), DType::f32, c.m, c.k, c.k, 1}; }

}  // namespace

TEST_CASE("f32 rows are multiplied without packing first") {
  each_case(
      [](const Case& c, float* y) {
        const Weight w = c.weight(Weight::Form::rows, DType::f32, c.w.data());
        product<float>(rows(c), {&w, 1}, y, c.n);
      },
      false);
}

TEST_CASE("packed f32 weights give the same as sums in f64") {
  each_case(
      [](const Case& c, float* y) {
        const auto form = pack_groups(c.w.data(), c.n, c.k);
        const Weight w = c.weight(Weight::Form::groups, DType::f32, form.get());
        product<float>(rows(c), {&w, 1}, y, c.n);
      },
      false);
}

TEST_CASE("packed f32 weights of a long k, in blocks of rows") {
  const Case c(310, 70, 2050, false);
  const auto form = pack_groups(c.w.data(), c.n, c.k);
  const Weight w = c.weight(Weight::Form::groups, DType::f32, form.get());
  std::vector<float> first;
  for (int threads : {1, 2, 3}) {
    set_num_threads(threads);
    std::vector<float> y(static_cast<size_t>(c.m * c.n), NAN);
    product<float>(rows(c), {&w, 1}, y.data(), c.n);
    CHECK(worst(y, c.expected) <= c.tolerance);
    if (threads == 1) first = y;
    CHECK(y == first);
  }
  set_num_threads(0);
}

TEST_CASE("packed f32 weights give the same to the bit in parts") {
  const Case c(40, 145, 600, false);
  const auto multiply = [&](int64_t begin, int64_t end, float* y) {
    const auto form = pack_groups(c.w.data() + begin * c.k, end - begin, c.k);
    Weight w = c.weight(Weight::Form::groups, DType::f32, form.get());
    w.n = end - begin, w.bias = c.bias.data() + begin;
    product<float>(rows(c), {&w, 1}, y + begin, c.n);
  };
  std::vector<float> whole(c.expected.size()), parts(c.expected.size());
  multiply(0, 145, whole.data());
  multiply(0, 64, parts.data());
  multiply(64, 128, parts.data());
  multiply(128, 145, parts.data());
  CHECK(whole == parts);
}

TEST_CASE("f32 products take columns, and rows and columns turned around") {
  const Case c(75, 70, 300, false);
  const auto turned = [](const std::vector<float>& v, int64_t rows, int64_t columns) {
    std::vector<float> t(v.size());
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) t[j * rows + i] = v[i * columns + j];
    }
    return t;
  };
  const auto x = turned(c.x, c.m, c.k), w = turned(c.w, c.n, c.k);
  const Weight plain = c.weight(Weight::Form::rows, DType::f32, c.w.data());
  const Weight columns{Weight::Form::rows, DType::f32, w.data(), c.n, c.k, 1, c.n, c.bias.data()};
  for (const Weight& weight : {plain, columns}) {
    for (const Activations<float>& a : {rows(c), Activations<float>{x.data(), c.m, c.k, 1, c.m}}) {
      std::vector<float> y(c.expected.size(), NAN);
      product<float>(a, {&weight, 1}, y.data(), c.n);
      CHECK(worst(y, c.expected) <= c.tolerance);
    }
  }
}

TEST_CASE("f32 products keep infinities, NaN, and the largest and least of magnitudes") {
  const auto check = [](float x_scale, float w_scale, float special) {
    INFO("scales ", x_scale, " ", w_scale, " special ", special);
    Case c(66, 70, 96, false);
    for (float& v : c.x) v *= x_scale;
    for (float& v : c.w) v *= w_scale;
    c.x[5 * 96 + 7] = special * x_scale;
    const Weight w{Weight::Form::rows, DType::f32, c.w.data(), 70, 96, 96, 1, nullptr};
    std::vector<float> y(66 * 70, 7);
    product<float>(rows(c), {&w, 1}, y.data(), 70);
    for (int64_t i = 0; i < 66; ++i) {
      for (int64_t j = 0; j < 70; ++j) {
        double sum = 0, scale = 1e-37;  // what rounding at the least numbers may add
        for (int64_t k = 0; k < 96; ++k) {
          sum += double{c.x[i * 96 + k]} * c.w[j * 96 + k];
          scale += std::abs(double{c.x[i * 96 + k]} * c.w[j * 96 + k]);
        }
        const float got = y[i * 70 + j], want = static_cast<float>(sum);
        if (std::isfinite(want)) {
          CHECK(std::abs(got - sum) <= 1e-6 * scale);
        } else {
          CHECK((std::isnan(want) ? std::isnan(got) : got == want));
        }
      }
    }
  };
  check(1, 1, INFINITY);
  check(1, 1, -INFINITY);
  check(1, 1, NAN);
  check(0, 1, 0);
  check(1, 0, 1);
  check(1e-30f, 1, 1);
  check(1e-36f, 1e20f, 1);
  check(1e-18f, 1e-18f, 1);
  check(1e-40f, 1, 1);
  check(3e36f, 1, 1);
  check(1e19f, 1e18f, 1);
}

TEST_CASE("bf16 weights in pairs multiply f32 rows exactly") {
  each_case([](const Case& c, float* y) {
    const auto form = pack_pairs(c.narrow_w().data(), c.n, c.k);
    const Weight w = c.weight(Weight::Form::pairs, DType::bf16, form.get());
    product<float>(rows(c), {&w, 1}, y, c.n);
  });
}

TEST_CASE("bf16 rows convert on the way") {
  each_case([](const Case& c, float* y) {
    const auto narrow = c.narrow_w();
    const Weight w = c.weight(Weight::Form::rows, DType::bf16, narrow.data());
    product<float>(rows(c), {&w, 1}, y, c.n);
  });
}

TEST_CASE("bf16 tiles and dot products give the same as sums in f64") {
  if (!has_bf16_product()) return;
  each_case([](const Case& c, float* y) {
    const auto form = pack_pairs(c.narrow_w().data(), c.n, c.k);
    const Weight w = c.weight(Weight::Form::pairs, DType::bf16, form.get());
    product_bf16(bf16_rows(c), {&w, 1}, y, c.n);
  });
  each_case([](const Case& c, float* y) {
    const auto narrow = c.narrow_w();
    const Weight w = c.weight(Weight::Form::rows, DType::bf16, narrow.data());
    product_bf16(bf16_rows(c), {&w, 1}, y, c.n);
  });
}

TEST_CASE("a long k in several steps stays exact to f32 on bf16 tiles") {
  if (!has_bf16_product()) return;
  const int64_t sizes[][3] = {{520, 40, 4100}, {275, 555, 700}, {48, 96, 1025}};
  for (const auto& s : sizes) {
    const Case c(s[0], s[1], s[2]);
    const auto narrow = c.narrow_w();
    const auto form = pack_pairs(narrow.data(), c.n, c.k);
    const Weight packed = c.weight(Weight::Form::pairs, DType::bf16, form.get());
    const Weight plain = c.weight(Weight::Form::rows, DType::bf16, narrow.data());
    std::vector<float> first;
    for (int threads : {1, 2, 3}) {
      set_num_threads(threads);
      std::vector<float> y(static_cast<size_t>(c.m * c.n), NAN), z = y;
      product_bf16(bf16_rows(c), {&packed, 1}, y.data(), c.n);
      product_bf16(bf16_rows(c), {&plain, 1}, z.data(), c.n);
      CHECK(worst(y, c.expected) <= c.tolerance);
      CHECK(worst(z, c.expected) <= c.tolerance);
      if (threads == 1) first = y;
      CHECK(y == first);
    }
    set_num_threads(0);
  }
}

TEST_CASE("f64 products take any strides") {
  const Case c(19, 37, 301);
  std::vector<double> x(c.x.size()), w(c.w.size()), bias(c.bias.begin(), c.bias.end());
  for (int64_t i = 0; i < c.m; ++i) {
    for (int64_t j = 0; j < c.k; ++j) x[j * c.m + i] = c.x[i * c.k + j];
  }
  for (int64_t i = 0; i < c.n; ++i) {
    for (int64_t j = 0; j < c.k; ++j) w[j * c.n + i] = c.w[i * c.k + j];
  }
  std::vector<double> y(c.expected.size());
  const Weight weight{Weight::Form::rows, DType::f64, w.data(), c.n, c.k, 1, c.n, bias.data()};
  product<double>({x.data(), c.m, c.k, 1, c.m}, {&weight, 1}, y.data(), c.n);
  CHECK(worst(y, c.expected) < 1e-12);
}

TEST_CASE("several weights stand side by side, and two are gated") {
  const Case a(21, 40, 96), b(21, 40, 96);
  const auto up = numbers(40 * 96, 9);
  const auto form = pack_groups(a.w.data(), 40, 96);
  const Weight weights[] = {a.weight(Weight::Form::groups, DType::f32, form.get()),
                            {Weight::Form::rows, DType::f32, up.data(), 40, 96, 96, 1, nullptr}};
  std::vector<float> both(21 * 80), gated(21 * 40);
  product<float>(rows(a), weights, both.data(), 80);
  product<float>(rows(a), weights, gated.data(), 40, true);
  double side = 0, gate = 0;
  for (int i = 0; i < 21; ++i) {
    for (int j = 0; j < 40; ++j) {
      const double g = both[i * 80 + j], u = both[i * 80 + 40 + j];
      side = std::max(side, std::abs(g - a.expected[i * 40 + j]));
      gate = std::max(gate, std::abs(g / (1 + std::exp(-g)) * u - double{gated[i * 40 + j]}));
    }
  }
  CHECK(side < 1e-5);
  CHECK(gate < 1e-4);
}

TEST_CASE("nothing is written for no rows, and zeros for no k") {
  float y[4] = {7, 7, 7, 7};
  Weight w{Weight::Form::rows, DType::f32, y, 2, 0, 0, 1, nullptr};
  product<float>({y, 0, 0, 0, 1}, {&w, 1}, y, 2);
  CHECK(y[0] == 7);
  product<float>({y, 2, 0, 0, 1}, {&w, 1}, y, 2);
  CHECK(y[3] == 0);
  if (!has_bf16_product()) return;
  y[3] = 7;
  w.dtype = DType::bf16;
  product_bf16({y, DType::f32, 2, 0, 0, 1}, {&w, 1}, y, 2);
  CHECK(y[3] == 0);
  uint16_t narrow[4] = {7, 7, 7, 7};
  w.n_stride = 3;  // rows that cannot be read in words
  product_bf16({y, DType::bf16, 2, 0, 3, 1}, w, narrow, 2);
  CHECK(narrow[3] == 0);
}
