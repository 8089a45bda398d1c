// The packed form of block types: equal results for any division of the work. Products and panels
// are compared with gguf and NumPy, per instruction set, in tests/python/test_dtypes.py.
#include "backend/cpu/quant/quant.h"

#include <doctest/doctest.h>

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <random>
#include <vector>

#include "backend/cpu/packed_memory.h"
#include "tallow/error.h"
#include "tallow/parallel.h"

using namespace tallow;
using namespace tallow::cpu;

namespace {

/// Memory aligned to 64 bytes.
struct Aligned {
  explicit Aligned(int64_t bytes)
      : p(std::aligned_alloc(64, static_cast<size_t>(bytes + 64) / 64 * 64)) {}
  ~Aligned() { std::free(p); }
  Aligned(const Aligned&) = delete;
  Aligned& operator=(const Aligned&) = delete;
  void* p;
};

/// Products of packed weights with x [m, k], which is rounded to bytes where the type takes them.
class Product {
 public:
  Product(const PackedBlocks& weights, const float* x, int64_t m)
      : weights_(weights), x_(x), space_(QuantizedRows::bytes(m, weights.k())) {
    rows_ = quantize_rows(x, m, weights.k(), weights.k(), space_.p);
  }
  void operator()(int64_t m0, int64_t m1, int64_t n0, int64_t n1, float* y, int64_t ldy) const {
    if (takes_bytes(weights_.dtype())) {
      block_matmul(weights_, rows_, m0, m1, n0, n1, y, ldy);
    } else {
      real_matmul(weights_, x_, weights_.k(), m0, m1, n0, n1, y, ldy);
    }
  }

 private:
  const PackedBlocks& weights_;
  const float* x_;
  Aligned space_;
  QuantizedRows rows_;
};

std::vector<DType> packed_types() {
  std::vector<DType> types;
  for (int i = 0; i < kDTypeCount; ++i) {
    if (has_packed_form(static_cast<DType>(i))) types.push_back(static_cast<DType>(i));
  }
  return types;
}

/// Random blocks. The upper byte of every 16-bit field could be an exponent, so bytes stay below
/// 0x40: all scales are finite, wherever they stand.
std::vector<uint8_t> random_rows(DType dtype, int64_t n, int64_t k) {
  std::mt19937 random(7);
  std::vector<uint8_t> rows(static_cast<size_t>(n * storage_bytes(dtype, k)));
  for (uint8_t& byte : rows) byte = static_cast<uint8_t>(random() & 0x3f);
  return rows;
}

std::vector<float> random_floats(int64_t count) {
  std::mt19937 random(8);
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<size_t>(count));
  for (float& value : x) value = normal(random);
  return x;
}

}  // namespace

// Codebooks are expanded to 3 bits an element, or 4, and trits to 2.
TEST_CASE("a packed form is about as large as its source") {
  CHECK(packed_types().size() >= 26);
  for (DType dtype : packed_types()) {
    CAPTURE(to_string(dtype));
    const PackedBlocks packed(dtype, 64, 512);
    const auto bytes = static_cast<double>(64 * storage_bytes(dtype, 512));
    const std::string name = to_string(dtype);
    const double expanded = name.starts_with("iq3") ? 4.35 : name == "tq1_0" ? 2.1 : 3.6;
    const bool expands = name.starts_with("iq") && !name.starts_with("iq4");
    const double most = expands || name == "tq1_0" ? expanded / 8 * 64 * 512 : 1.06 * bytes;
    CHECK(static_cast<double>(packed.bytes()) <= most);
  }
  CHECK_THROWS_WITH_AS(PackedBlocks(DType::f32, 16, 32),
                       "packed weights: f32 has no packed form; convert it to f32", Error);
  CHECK_THROWS_AS(PackedBlocks(DType::q4_0, 16, 33), Error);
  CHECK_THROWS_AS(PackedBlocks(DType::q8_0, int64_t{1} << 40, int64_t{1} << 40), Error);
}

TEST_CASE("a product does not depend on how it is divided") {
  const int64_t n = 50, k = 768, m = 19;
  const std::vector<float> x = random_floats(m * k);
  for (DType dtype : packed_types()) {
    CAPTURE(to_string(dtype));
    const std::vector<uint8_t> source = random_rows(dtype, n, k);
    const auto weights = pack_blocks(dtype, source.data(), n, k);
    const Product product(*weights, x.data(), m);
    std::vector<float> whole(static_cast<size_t>(m * n)), parts(whole.size());
    product(0, m, 0, n, whole.data(), n);

    for (int64_t step : {1, 3, 8}) {
      for (int64_t i = 0; i < m; i += step) {
        for (int64_t j = 0; j < n; j += 16) {
          product(i, std::min(m, i + step), j, j + 16, parts.data(), n);
        }
      }
      CHECK(std::memcmp(whole.data(), parts.data(), whole.size() * sizeof(float)) == 0);
    }
    for (int64_t i = 0; i < m; ++i) {
      Product(*weights, x.data() + i * k, 1)(0, 1, 0, n, parts.data() + i * n, n);
    }
    CHECK(std::memcmp(whole.data(), parts.data(), whole.size() * sizeof(float)) == 0);
  }
}

TEST_CASE("packing and rounding are the same on any number of threads") {
  const int64_t n = 400, k = 2048, m = 40;
  const std::vector<float> x = random_floats(m * k);
  const std::vector<uint8_t> source = random_rows(DType::q4_k, n, k);
  std::vector<float> first;
  for (int threads : {1, 2, 3}) {
    set_num_threads(threads);
    const auto weights = pack_blocks(DType::q4_k, source.data(), n, k);
    const Aligned space(QuantizedRows::bytes(m, k));
    const QuantizedRows rows = quantize_rows(x.data(), m, k, k, space.p);
    std::vector<float> y(static_cast<size_t>(m * n));
    block_matmul(*weights, rows, 0, m, 0, n, y.data(), n);
    if (first.empty()) first = y;
    CHECK(std::memcmp(first.data(), y.data(), y.size() * sizeof(float)) == 0);
  }
  set_num_threads(0);
}

TEST_CASE("only the outputs asked for are written") {
  const int64_t n = 33, k = 256;
  for (DType dtype : packed_types()) {
    const std::vector<uint8_t> source = random_rows(dtype, n, k);
    const auto weights = pack_blocks(dtype, source.data(), n, k);
    const std::vector<float> x = random_floats(2 * k);
    const Product product(*weights, x.data(), 2);
    std::vector<float> y(2 * 48, 123.0f);
    product(0, 2, 16, 1000, y.data(), 48);
    product(1, 1, 0, n, y.data(), 48);
    for (size_t i = 0; i < y.size(); ++i) {
      const bool asked = i % 48 >= 16 && i % 48 < 33;
      CHECK((y[i] == 123.0f) != asked);
    }
  }
}

TEST_CASE("a part of a panel equals that part of the whole") {
  const int64_t n = 40, k = 1024;
  for (DType dtype : packed_types()) {
    CAPTURE(to_string(dtype));
    const std::vector<uint8_t> source = random_rows(dtype, n, k);
    const auto weights = pack_blocks(dtype, source.data(), n, k);
    const Aligned whole(k * 32 * 4), part(256 * 32 * 4);
    if (takes_bytes(dtype)) {
      panel_f32(*weights, 16, 0, k, static_cast<float*>(whole.p));
      panel_f32(*weights, 16, 256, 512, static_cast<float*>(part.p));
      CHECK(std::memcmp(static_cast<float*>(whole.p) + 256 * 32, part.p, 256 * 32 * 4) == 0);
    }
    panel_bf16(*weights, 16, 0, k, static_cast<uint16_t*>(whole.p));
    panel_bf16(*weights, 16, 256, 512, static_cast<uint16_t*>(part.p));
    for (int64_t g = 0; g < 2; ++g) {
      CHECK(std::memcmp(static_cast<uint16_t*>(whole.p) + (g * k + 256) * 16,
                        static_cast<uint16_t*>(part.p) + g * 256 * 16, 256 * 16 * 2) == 0);
    }
  }
}

TEST_CASE("packed memory is aligned and outlives its neighbours") {
  std::vector<std::shared_ptr<std::byte>> blocks;
  for (int64_t bytes :
       {int64_t{0}, int64_t{1}, int64_t{100}, int64_t{3} << 20, int64_t{40} << 20}) {
    blocks.push_back(packed_memory(bytes));
    CHECK(reinterpret_cast<uintptr_t>(blocks.back().get()) % 64 == 0);
  }
  std::memset(blocks[2].get(), 1, 100);
  blocks[1].reset();
  blocks[3].reset();
  CHECK(static_cast<int>(blocks[2].get()[99]) == 1);
  CHECK_THROWS_AS(packed_memory(-1), Error);
  CHECK_THROWS_AS(packed_memory(std::numeric_limits<int64_t>::max()), Error);
  CHECK_THROWS_AS(packed_memory(int64_t{1} << 60), Error);
}

TEST_CASE("packed memory that was given back serves the next of its size, or leaves the process") {
  const auto resident = [] {
    int64_t all = 0, pages = 0;
    std::ifstream("/proc/self/statm") >> all >> pages;
    return pages * sysconf(_SC_PAGESIZE);
  };
  constexpr int64_t kBytes = 3 << 20;
  std::vector<std::shared_ptr<std::byte>> blocks;
  for (int i = 0; i < 60; ++i) {
    blocks.push_back(packed_memory(kBytes));
    std::memset(blocks.back().get(), i + 1, kBytes);
  }
  const int64_t before = resident();
  std::vector<std::byte*> given;
  for (size_t i = 0; i < 60; i += 2) {
    given.push_back(blocks[i].get());
    blocks[i].reset();
  }
  CHECK(before - resident() > 30 * kBytes / 2);
  const auto again = packed_memory(kBytes);
  CHECK(std::find(given.begin(), given.end(), again.get()) != given.end());
  std::memset(again.get(), 99, kBytes);
  for (size_t i = 1; i < 60; i += 2) {
    CHECK(static_cast<size_t>(blocks[i].get()[0]) == i + 1);
    CHECK(static_cast<size_t>(blocks[i].get()[kBytes - 1]) == i + 1);
  }
}
