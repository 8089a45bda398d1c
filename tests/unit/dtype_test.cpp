// The dtype table: lookups, sizes, and conversions at the edges of each type. The values themselves
// are compared with PyTorch and gguf in tests/python/test_dtypes.py.
#include "tallow/dtype.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "tallow/error.h"

using namespace tallow;

namespace {
DType at(int i) { return static_cast<DType>(i); }

template <class T>
T from_f32(DType dtype, float value) {
  T out;
  info(dtype).from_f32(&value, &out, 1);
  return out;
}
}  // namespace

TEST_CASE("every dtype is found by each of its names") {
  for (int i = 0; i < kDTypeCount; ++i) {
    const DTypeInfo& row = info(at(i));
    CAPTURE(row.name);
    CHECK(row.dtype == at(i));
    CHECK(dtype_from_name(row.name) == at(i));
    CHECK(to_string(at(i)) == row.name);
    if (row.safetensors) CHECK(dtype_from_safetensors(row.safetensors) == at(i));
    if (row.gguf >= 0) CHECK(dtype_from_gguf(row.gguf) == at(i));
  }
}

TEST_CASE("unknown and removed dtypes are not found") {
  for (int64_t removed : {4, 5, 31, 32, 33, 36, 37, 38}) CHECK(!dtype_from_gguf(removed));
  for (int64_t wrong : {int64_t{-1}, int64_t{1000}, std::numeric_limits<int64_t>::max()}) {
    CHECK(!dtype_from_gguf(wrong));
  }
  CHECK(!dtype_from_name("F32"));
  CHECK(!dtype_from_name(""));
  CHECK(!dtype_from_safetensors("f32"));
  CHECK(!dtype_from_safetensors("Q4_0"));
}

TEST_CASE("block dtypes are those with a block, and all of them convert to f32") {
  for (int i = 0; i < kDTypeCount; ++i) {
    const DTypeInfo& row = info(at(i));
    CAPTURE(row.name);
    CHECK(is_block(at(i)) == (row.block > 1));
    CHECK((row.to_f32 != nullptr));
    CHECK((row.from_f32 != nullptr || row.block > 1));
    if (row.block == 1) CHECK(storage_bytes(at(i), 7) == 7 * row.bytes);
  }
}

TEST_CASE("storage_bytes refuses split blocks and sizes beyond 64 bits") {
  CHECK(storage_bytes(DType::q4_k, 512) == 288);
  CHECK(storage_bytes(DType::q4_k, 0) == 0);
  CHECK_THROWS_WITH_AS(
      storage_bytes(DType::q4_k, 300),
      "q4_k: a length of 300 is not a multiple of the block of 256; choose another "
      "dtype or pad the last dimension",
      Error);
  CHECK_THROWS_AS(storage_bytes(DType::f32, -1), Error);
  CHECK_THROWS_AS(storage_bytes(DType::f64, std::numeric_limits<int64_t>::max() / 4), Error);
}

TEST_CASE("conversion to integers truncates and saturates") {
  const float inf = std::numeric_limits<float>::infinity();
  CHECK(from_f32<int8_t>(DType::i8, -1.9f) == -1);
  CHECK(from_f32<int8_t>(DType::i8, 1000) == 127);
  CHECK(from_f32<int8_t>(DType::i8, -inf) == -128);
  CHECK(from_f32<uint8_t>(DType::u8, -3) == 0);
  CHECK(from_f32<int32_t>(DType::i32, 3e9f) == std::numeric_limits<int32_t>::max());
  CHECK(from_f32<int64_t>(DType::i64, inf) == std::numeric_limits<int64_t>::max());
  CHECK(from_f32<uint64_t>(DType::u64, 1e30f) == std::numeric_limits<uint64_t>::max());
  CHECK(from_f32<int32_t>(DType::i32, std::nanf("")) == 0);
  CHECK(from_f32<uint8_t>(DType::boolean, 0.5f) == 1);
  CHECK(from_f32<uint8_t>(DType::boolean, 0.0f) == 0);
}

TEST_CASE("writing a block type survives values that no block can hold") {
  const float inf = std::numeric_limits<float>::infinity();
  for (int i = 0; i < kDTypeCount; ++i) {
    const DTypeInfo& row = info(at(i));
    if (row.block == 1 || !row.from_f32) continue;
    CAPTURE(row.name);
    for (float value : {inf, -inf, std::nanf(""), 3e38f, 1e-42f}) {
      std::vector<float> x(static_cast<size_t>(row.block), 1.0f), back(x.size());
      x.back() = value;
      std::vector<uint8_t> block(static_cast<size_t>(row.bytes));
      row.from_f32(x.data(), block.data(), row.block);
      row.to_f32(block.data(), back.data(), row.block);
    }
  }
}
