// The fork/join thread pool that every kernel shares.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace tallow {

/// Threads that kernels may use: set_num_threads, else TALLOW_THREADS, else the smaller of the
/// physical cores, the affinity mask and the cgroup's limit.
int num_threads();
/// Sets the number of threads (at least 1; 0 returns to the default).
void set_num_threads(int n);

namespace detail {
using RangeFn = void (*)(const void* context, int64_t begin, int64_t end, int thread);
void parallel_for(int64_t n, int64_t grain, const void* context, RangeFn fn);
using TeamFn = void (*)(const void* context, int thread, int threads);
void parallel_team(int threads, const void* context, TeamFn fn);
}  // namespace detail

/// Calls fn(begin, end, thread) over disjoint ranges that cover [0, n), on up to num_threads()
/// threads. Ranges are multiples of `grain` long (the last may be shorter) and are claimed
/// dynamically. Returns when all are done; rethrows the first exception. A nested call runs inline.
template <class F>
void parallel_for(int64_t n, int64_t grain, const F& fn) {
  detail::parallel_for(n, grain, std::addressof(fn),
                       [](const void* context, int64_t begin, int64_t end, int thread) {
                         (*static_cast<const F*>(context))(begin, end, thread);
                       });
}

/// Where the threads of a parallel_team wait for each other; reusable.
class Barrier {
 public:
  explicit Barrier(int threads) : threads_(threads) {}
  /// Returns when all threads have come.
  void wait();

 private:
  const int threads_;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<int> phase_{0};
};

/// Calls fn(thread, threads) once on each of min(threads, num_threads()) threads: for kernels that
/// divide their work themselves and meet at a Barrier.
template <class F>
void parallel_team(int threads, const F& fn) {
  detail::parallel_team(threads, std::addressof(fn),
                        [](const void* context, int thread, int count) {
                          (*static_cast<const F*>(context))(thread, count);
                        });
}

}  // namespace tallow
