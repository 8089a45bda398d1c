// tallow_bench_quant [DTYPE...]: the quantized kernels on one thread beside what limits them: how
// fast the same bytes can be read, and the peak of the 8-bit dot product.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string_view>
#include <vector>

#include "backend/cpu/quant/quant.h"
#include "tallow/parallel.h"

namespace {

using namespace tallow;

constexpr int64_t kColumns = 2048, kRows = 32768;
/// Seconds that this thread has run: what else the machine does at the time is left out.
double seconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// The least seconds of several calls.
template <class F>
double best(int repeats, F f) {
  double least = 1e30;
  for (int i = 0; i < repeats; ++i) {
    const double start = seconds();
    f();
    least = std::min(least, seconds() - start);
  }
  return least;
}

struct Memory {
  explicit Memory(int64_t bytes)
      : p(std::aligned_alloc(64, static_cast<size_t>(bytes + 63) / 64 * 64)) {
    std::memset(p, 0, static_cast<size_t>(bytes));
  }
  ~Memory() { std::free(p); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  void* p;
};

volatile uint64_t sink;

double read_seconds(const uint8_t* data, int64_t bytes) {
  return best(9, [&] {
    uint64_t sum[8] = {};
    for (int64_t i = 0; i + 64 <= bytes; i += 64) {
      uint64_t words[8];
      std::memcpy(words, data + i, 64);
      __builtin_prefetch(data + i + 2048);
      for (int j = 0; j < 8; ++j) sum[j] += words[j];
    }
    for (uint64_t s : sum) sink = sink + s;
  });
}

/// Seconds of a product with m rows of x and n of the weights.
double product_seconds(const cpu::PackedBlocks& w, int64_t m, int64_t n, float* y, int repeats) {
  const Memory x(m * kColumns * 4), space(cpu::QuantizedRows::bytes(m, kColumns));
  const auto* values = static_cast<float*>(x.p);
  if (!cpu::takes_bytes(w.dtype())) {
    return best(repeats, [&] { cpu::real_matmul(w, values, kColumns, 0, m, 0, n, y, n); });
  }
  const auto rows = cpu::quantize_rows(values, m, kColumns, kColumns, space.p);
  return best(repeats, [&] { cpu::block_matmul(w, rows, 0, m, 0, n, y, n); });
}

double product_gops(const cpu::PackedBlocks& w, int64_t m, int64_t n, float* y) {
  const double s = product_seconds(w, m, n, y, m > 100 ? 2 : 4);
  return 2e-9 * static_cast<double>(m * n * kColumns) / s;
}

void measure(DType dtype) {
  const int64_t bytes = kRows * storage_bytes(dtype, kColumns);
  const Memory source(bytes);
  for (int64_t i = 0; i < bytes; ++i)
    static_cast<uint8_t*>(source.p)[i] = static_cast<uint8_t>((i * 7 & 0x3b) | 0x40);
  std::shared_ptr<cpu::PackedBlocks> w;
  const double pack = best(2, [&] { w = cpu::pack_blocks(dtype, source.p, kRows, kColumns); });

  const double read = read_seconds(w->data(), w->bytes());
  std::vector<float> y(static_cast<size_t>(kRows * 8));
  const double one = product_seconds(*w, 1, kRows, y.data(), 9);

  const Memory panel(kColumns * 32 * 4);
  const double bf16 = best(3, [&] {
    for (int64_t n = 0; n < 4096; n += 32) {
      cpu::panel_bf16(*w, n, 0, kColumns, static_cast<uint16_t*>(panel.p));
    }
  });
  const double giga = 1e-9 * static_cast<double>(w->bytes());
  std::printf("%-8s %6.1f %5.3f %6.1f | %6.1f %6.1f %4.0f%% | %5.0f %5.0f %5.0f %5.0f | %6.2f\n",
              info(dtype).name, 1e3 * giga,
              static_cast<double>(w->bytes()) / static_cast<double>(bytes),
              1e-9 * static_cast<double>(bytes) / pack, giga / read, giga / one, 100 * read / one,
              product_gops(*w, 2, 4096, y.data()), product_gops(*w, 8, 4096, y.data()),
              product_gops(*w, 64, 2048, y.data()), product_gops(*w, 512, 512, y.data()),
              4096e-9 * kColumns / bf16);
}

}  // namespace

int main(int argc, char** argv) {
  set_num_threads(1);
  std::printf("%s, 1 thread, weights [%lld, %lld]\n", cpu::to_string(cpu::isa()),
              static_cast<long long>(kRows), static_cast<long long>(kColumns));
  std::printf("%-8s %6s %5s %6s | %6s %6s %5s | %5s %5s %5s %5s | %6s\n", "type", "MB", "size",
              "pack", "read", "m=1", "share", "m=2", "m=8", "m=64", "m=512", "panel");
  std::printf("%-8s %6s %5s %6s | %6s %6s %5s | %5s %5s %5s %5s | %6s\n", "", "", "ratio", "GB/s",
              "GB/s", "GB/s", "", "GOP/s", "GOP/s", "GOP/s", "GOP/s", "Gw/s");
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (!is_block(dtype) || !cpu::has_packed_form(dtype)) continue;
    const bool named = std::any_of(argv + 1, argv + argc, [&](const char* a) {
      return std::string_view(a) == info(dtype).name;
    });
    if (argc == 1 || named) measure(dtype);
  }
  return 0;
}
