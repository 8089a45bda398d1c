// block_dtypes: the names of GGUF's block types, a line each.
// dequantize DTYPE, quantize DTYPE: stdin to stdout through the dtype table.
// encode DTYPE K ROWS [importance]: rows of K to blocks; stdin is the rows, then the importance.
// packed DTYPE N K M: the packed form. stdin is the weights' blocks, then x [m, k] in f32; stdout
// is y [m, n] of the packed product, then the f32 and the bf16 panels of all rows, [k][32] and
// [2][k / 2][16][2] for every 32 rows. Types that are multiplied in f32 have no panels of it.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "backend/cpu/quant/quant.h"
#include "core/encode.h"
#include "tallow/error.h"

namespace probe {

namespace {

using tallow::DType;
using tallow::fail;

std::vector<uint8_t> read_stdin() {
  std::vector<uint8_t> data;
  size_t used = 0, got = 0;
  do {
    used += got;
    data.resize(used + (1 << 20));
    got = std::fread(data.data() + used, 1, data.size() - used, stdin);
  } while (got > 0);
  data.resize(used);
  return data;
}

template <class T>
void write(const std::vector<T>& data) {
  std::fwrite(data.data(), sizeof(T), data.size(), stdout);
}

DType dtype_argument(int argc, char** argv, int count) {
  if (argc != count) fail(argv[0], ": takes ", count - 1, " arguments; see blocks.cpp");
  const auto dtype = tallow::dtype_from_name(argv[1]);
  if (!dtype) fail(argv[0], ": no dtype ", argv[1], "; see the table in dtype.cpp");
  return *dtype;
}

/// Aligned to 64 bytes.
struct Workspace {
  explicit Workspace(int64_t bytes)
      : data(std::aligned_alloc(64, static_cast<size_t>(bytes + 64) / 64 * 64)) {}
  ~Workspace() { std::free(data); }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  void* data;
};

void write_panels(const tallow::cpu::PackedBlocks& packed) {
  const int64_t n = packed.n(), k = packed.k();
  const Workspace space(k * 32 * 4);
  std::vector<float> f32(static_cast<size_t>(k * 32));
  std::vector<uint16_t> bf16(f32.size());
  const bool has_f32 = tallow::cpu::takes_bytes(packed.dtype());
  for (int64_t n0 = 0; has_f32 && n0 < n; n0 += 32) {
    tallow::cpu::panel_f32(packed, n0, 0, k, static_cast<float*>(space.data));
    std::memcpy(f32.data(), space.data, f32.size() * 4);
    write(f32);
  }
  for (int64_t n0 = 0; n0 < n; n0 += 32) {
    tallow::cpu::panel_bf16(packed, n0, 0, k, static_cast<uint16_t*>(space.data));
    std::memcpy(bf16.data(), space.data, bf16.size() * 2);
    write(bf16);
  }
}

}  // namespace

int block_dtypes(int, char**) {
  for (int i = 0; i < tallow::kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (is_block(dtype) && info(dtype).gguf >= 0) std::puts(info(dtype).name);
  }
  return 0;
}

int dequantize(int argc, char** argv) {
  const tallow::DTypeInfo& row = info(dtype_argument(argc, argv, 2));
  const std::vector<uint8_t> source = read_stdin();
  const int64_t n = static_cast<int64_t>(source.size()) / row.bytes * row.block;
  std::vector<float> target(static_cast<size_t>(n));
  row.to_f32(source.data(), target.data(), n);
  write(target);
  return 0;
}

int quantize(int argc, char** argv) {
  const tallow::DTypeInfo& row = info(dtype_argument(argc, argv, 2));
  if (!row.from_f32) fail("quantize: ", row.name, " cannot be written; choose another dtype");
  const std::vector<uint8_t> bytes = read_stdin();
  std::vector<float> source(bytes.size() / 4);
  std::memcpy(source.data(), bytes.data(), source.size() * 4);
  const auto n = static_cast<int64_t>(source.size());
  std::vector<uint8_t> target(static_cast<size_t>(tallow::storage_bytes(row.dtype, n)));
  row.from_f32(source.data(), target.data(), n);
  write(target);
  return 0;
}

int encode(int argc, char** argv) {
  const bool weighted = argc == 5;
  const DType dtype = dtype_argument(argc - weighted, argv, 4);
  const int64_t k = std::atoll(argv[2]), rows = std::atoll(argv[3]);
  const std::vector<uint8_t> bytes = read_stdin();
  std::vector<float> x(bytes.size() / 4);
  std::memcpy(x.data(), bytes.data(), x.size() * 4);
  if (static_cast<int64_t>(x.size()) != (rows + weighted) * k) fail("encode: wrong size of stdin");
  std::vector<uint8_t> out(static_cast<size_t>(tallow::storage_bytes(dtype, rows * k)));
  tallow::encode_blocks(dtype, x.data(), out.data(), rows, k,
                        weighted ? x.data() + rows * k : nullptr);
  write(out);
  return 0;
}

int packed(int argc, char** argv) {
  const DType dtype = dtype_argument(argc, argv, 5);
  const int64_t n = std::atoll(argv[2]), k = std::atoll(argv[3]), m = std::atoll(argv[4]);
  const std::vector<uint8_t> input = read_stdin();
  const int64_t weight_bytes = n * tallow::storage_bytes(dtype, k);
  if (static_cast<int64_t>(input.size()) != weight_bytes + m * k * 4) {
    fail("packed: stdin has ", input.size(), " bytes; give ", n, " rows of blocks and ", m,
         " of f32");
  }
  std::vector<float> x(static_cast<size_t>(m * k)), y(static_cast<size_t>(m * n));
  std::memcpy(x.data(), input.data() + weight_bytes, x.size() * 4);
  const auto weights = tallow::cpu::pack_blocks(dtype, input.data(), n, k);
  if (tallow::cpu::takes_bytes(dtype)) {
    const Workspace space(tallow::cpu::QuantizedRows::bytes(m, k));
    const auto rows = tallow::cpu::quantize_rows(x.data(), m, k, k, space.data);
    tallow::cpu::block_matmul(*weights, rows, 0, m, 0, n, y.data(), n);
  } else {
    tallow::cpu::real_matmul(*weights, x.data(), k, 0, m, 0, n, y.data(), n);
  }
  write(y);
  write_panels(*weights);
  return 0;
}

}  // namespace probe
