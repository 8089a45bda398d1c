// Measures what the machine can do: bandwidth and peak rates.
#include "tallow/limits.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "backend/cpu/gemm/gemm.h"
#include "backend/cpu/limits.h"
#include "backend/cpu/packed_memory.h"
#include "core/profiler.h"
#include "tallow/error.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

using cpu::Isa;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Lets parallel_team have `threads` threads while it lives.
class ThreadCount {
 public:
  explicit ThreadCount(int threads) : before_(num_threads()) { set_num_threads(threads); }
  ~ThreadCount() { set_num_threads(before_); }
  ThreadCount(const ThreadCount&) = delete;

 private:
  int before_;
};

// Operations per second of `spin` on all threads: the best of several short runs.
constexpr int64_t kRounds = 1000000;  // some 2 ms of AVX-512

double rate(cpu::SpinFn spin, int threads) {
  const ThreadCount scope(threads);
  double best = 0;
  for (int run = 0; run < 8; ++run) {
    std::atomic<double> operations{0};
    const auto begin = Clock::now();
    parallel_team(threads, [&](int, int) { operations.fetch_add(spin(kRounds)); });
    best = std::max(best, operations.load() / seconds_since(begin));
  }
  return best;
}

#if defined(__x86_64__)
cpu::SpinFn f32_spin() {
  const Isa isa = cpu::isa();
  return isa >= Isa::avx512 ? cpu::spin_f32_avx512
         : isa >= Isa::avx2 ? cpu::spin_f32_avx2
                            : cpu::spin_f32_portable;
}
cpu::SpinFn bf16_spin() {
  const Isa isa = cpu::isa();
  return isa == Isa::amx           ? cpu::spin_bf16_amx
         : isa >= Isa::avx512_bf16 ? cpu::spin_bf16_bf16
                                   : f32_spin();
}
cpu::SpinFn int8_spin() {
  const Isa isa = cpu::isa();
  return isa == Isa::amx           ? cpu::spin_int8_amx
         : isa >= Isa::avx512_vnni ? cpu::spin_int8_vnni
         : isa >= Isa::avx2        ? cpu::spin_int8_avx2
                                   : cpu::spin_f32_portable;
}
auto reader() {
  const Isa isa = cpu::isa();
  return isa >= Isa::avx512 ? cpu::read_avx512
         : isa >= Isa::avx2 ? cpu::read_avx2
                            : cpu::read_portable;
}
#else
cpu::SpinFn f32_spin() { return cpu::spin_f32_portable; }
cpu::SpinFn bf16_spin() { return cpu::spin_f32_portable; }
cpu::SpinFn int8_spin() { return cpu::spin_f32_portable; }
auto reader() { return cpu::read_portable; }
#endif

profiler::Limits profiler_limits() {
  const int threads = num_threads();
  return {read_bandwidth(64 << 20, threads),
          std::max({peak_f32(threads), peak_bf16(threads), peak_int8(threads)})};
}

}  // namespace

double read_bandwidth(int64_t bytes, int threads) {
  if (bytes < 1 || threads < 1) {
    fail("read_bandwidth: ", bytes, " bytes on ", threads, " threads; both must be positive");
  }
  const ThreadCount scope(threads);
  const int64_t share = (bytes / threads + 4095) / 4096 * 4096;
  const auto memory = cpu::packed_memory(share * threads);
  auto* data = static_cast<std::byte*>(memory.get());
  std::memset(data, 1, static_cast<size_t>(share * threads));
  const auto read = reader();
  double best = 0;
  std::atomic<uint64_t> sum{0};
  const auto start = Clock::now();
  for (int pass = 0; pass < 3 || (pass < 50 && seconds_since(start) < 0.2); ++pass) {
    std::atomic<int64_t> total{0};
    const auto begin = Clock::now();
    parallel_team(threads, [&](int thread, int) {
      sum.fetch_xor(read(data + thread * share, share));
      total.fetch_add(share);
    });
    best = std::max(best, static_cast<double>(total.load()) / seconds_since(begin));
  }
  return best;
}

double peak_f32(int threads) { return rate(f32_spin(), threads); }
double peak_bf16(int threads) { return rate(bf16_spin(), threads); }
double peak_int8(int threads) { return rate(int8_spin(), threads); }

void cpu::bind_limits() { profiler::set_limits(profiler_limits); }

}  // namespace tallow
