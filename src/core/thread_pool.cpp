// One persistent pool. Workers spin for a bounded time after a job, then sleep on a futex. A nested
// call, or one made while another thread uses the pool, runs inline: never more threads than asked.
#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "core/cpu_count.h"
#include "tallow/error.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

constexpr int kMaxThreads = 1024;
constexpr auto kSpinTime = std::chrono::microseconds(100);

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits until `word` is no longer `value`: spins for kSpinTime, then sleeps.
template <class T>
void wait_while(std::atomic<T>& word, T value) {
  auto until = std::chrono::steady_clock::time_point::max();
  for (int i = 0;; ++i) {
    if (word.load(std::memory_order_acquire) != value) return;
    pause();
    if (i % 64 == 63) {
      auto now = std::chrono::steady_clock::now();
      if (i == 63) until = now + kSpinTime;
      if (now > until) break;
    }
  }
  while (word.load(std::memory_order_acquire) == value) word.wait(value, std::memory_order_acquire);
}

struct Job {
  const void* context = nullptr;
  detail::RangeFn range = nullptr;
  detail::TeamFn team = nullptr;
  int64_t n = 0, grain = 1;
  int threads = 1;
  alignas(64) std::atomic<int64_t> next{0};
  std::mutex error_mutex;
  std::exception_ptr error;

  void run(int thread) {
    try {
      if (team) return team(context, thread, threads);
      for (;;) {
        int64_t begin = next.fetch_add(grain, std::memory_order_relaxed);
        if (begin >= n) return;
        range(context, begin, std::min(n, begin + grain), thread);
      }
    } catch (...) {
      std::lock_guard lock(error_mutex);
      if (!error) error = std::current_exception();
      next.store(n, std::memory_order_relaxed);
    }
  }
};

thread_local bool inside = false;

struct Inside {
  Inside() { inside = true; }
  ~Inside() { inside = false; }
};

class Pool {
 public:
  // False when the pool is busy with another thread's job.
  bool run(int threads, Job& job) {
    std::unique_lock lock(busy_, std::try_to_lock);
    if (!lock) return false;
    grow(threads - 1);
    job_ = &job;
    finished_.store(0, std::memory_order_relaxed);
    const uint32_t generation = ++generation_;
    gate_.store(uint64_t{generation} << 32 | kOpen, std::memory_order_release);
    for (int i = 0; i < threads - 1; ++i) wake(*workers_[i], generation);
    {
      Inside guard;
      job.run(0);
    }
    // A team needs every worker. Of a range only those that came are waited for: one whose core is
    // busy with something else must not hold up work that the others have done.
    if (job.team) wait_until_finished(threads - 1);
    gate_.fetch_and(~kOpen, std::memory_order_acq_rel);
    for (uint64_t g; ((g = gate_.load(std::memory_order_acquire)) & kCount) != 0;) {
      wait_while(gate_, g);
    }
    return true;
  }

 private:
  // The gate of the current job: its generation, whether it is open, and how many workers are in.
  static constexpr uint64_t kOpen = uint64_t{1} << 31, kCount = kOpen - 1;

  struct alignas(64) Worker {
    std::atomic<uint32_t> generation{0};
    std::atomic<bool> asleep{false};
  };

  void grow(int count) {
    while (static_cast<int>(workers_.size()) < count) {
      auto* worker = new Worker;  // lives as long as its thread, that is, as the process
      int id = static_cast<int>(workers_.size()) + 1;
      worker->generation.store(generation_, std::memory_order_relaxed);
      std::thread([this, worker, id, seen = generation_] { loop(*worker, id, seen); }).detach();
      workers_.push_back(worker);
    }
  }

  static void wake(Worker& worker, uint32_t generation) {
    worker.generation.store(generation, std::memory_order_seq_cst);
    if (worker.asleep.load(std::memory_order_seq_cst)) worker.generation.notify_one();
  }

  void wait_until_finished(int workers) {
    for (int f; (f = finished_.load(std::memory_order_acquire)) != workers;) {
      wait_while(finished_, f);
    }
  }

  void loop(Worker& worker, int id, uint32_t seen) {
    inside = true;
    for (;;) {
      wait_for_job(worker, seen);
      seen = worker.generation.load(std::memory_order_acquire);
      if (!enter(seen)) continue;
      job_->run(id);
      finished_.fetch_add(1, std::memory_order_acq_rel);
      finished_.notify_one();
      gate_.fetch_sub(1, std::memory_order_acq_rel);
      gate_.notify_one();
    }
  }

  // False when the job has ended: its memory may be gone.
  bool enter(uint32_t generation) {
    uint64_t gate = gate_.load(std::memory_order_acquire);
    do {
      if (gate >> 32 != generation || !(gate & kOpen)) return false;
    } while (!gate_.compare_exchange_weak(gate, gate + 1, std::memory_order_acq_rel));
    return true;
  }

  static void wait_for_job(Worker& worker, uint32_t seen) {
    auto until = std::chrono::steady_clock::now() + kSpinTime;
    for (int i = 1;; ++i) {
      if (worker.generation.load(std::memory_order_acquire) != seen) return;
      pause();
      if (i % 64 == 0 && std::chrono::steady_clock::now() > until) break;
    }
    worker.asleep.store(true, std::memory_order_seq_cst);
    while (worker.generation.load(std::memory_order_seq_cst) == seen) {
      worker.generation.wait(seen, std::memory_order_seq_cst);
    }
    worker.asleep.store(false, std::memory_order_relaxed);
  }

  std::mutex busy_;
  std::vector<Worker*> workers_;
  Job* job_ = nullptr;
  uint32_t generation_ = 0;
  alignas(64) std::atomic<uint64_t> gate_{0};
  alignas(64) std::atomic<int> finished_{0};
};

Pool* pool_instance = nullptr;
std::once_flag pool_once;

// The child of a fork has none of the threads: it starts with a new pool.
void after_fork_in_child() {
  pool_instance = new Pool;
  inside = false;
}

Pool& pool() {
  std::call_once(pool_once, [] {
    pool_instance = new Pool;
    pthread_atfork(nullptr, nullptr, after_fork_in_child);
  });
  return *pool_instance;
}

int default_threads() {
  const char* text = std::getenv("TALLOW_THREADS");
  if (!text || !*text) return usable_cores();
  char* end = nullptr;
  int64_t n = std::strtoll(text, &end, 10);
  if (*end || n < 1 || n > kMaxThreads) {
    fail("TALLOW_THREADS: '", text, "' is not a number of threads from 1 to ", kMaxThreads);
  }
  return static_cast<int>(n);
}

std::atomic<int> chosen_threads{0};

}  // namespace

int num_threads() {
  int n = chosen_threads.load(std::memory_order_relaxed);
  if (n > 0) return n;
  static const int fallback = default_threads();
  return fallback;
}

void set_num_threads(int n) {
  if (n < 0 || n > kMaxThreads) fail("set_num_threads: ", n, " is not from 0 to ", kMaxThreads);
  chosen_threads.store(n, std::memory_order_relaxed);
}

void Barrier::wait() {
  int phase = phase_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads_) {
    arrived_.store(0, std::memory_order_relaxed);
    phase_.store(phase + 1, std::memory_order_release);
    phase_.notify_all();
    return;
  }
  wait_while(phase_, phase);
}

namespace detail {

void parallel_for(int64_t n, int64_t grain, const void* context, RangeFn fn) {
  if (n <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  int threads = static_cast<int>(std::min<int64_t>(num_threads(), (n + grain - 1) / grain));
  if (threads > 1 && !inside) {
    Job job;
    job.context = context;
    job.range = fn;
    job.n = n;
    job.grain = grain;
    job.threads = threads;
    if (pool().run(threads, job)) {
      if (job.error) std::rethrow_exception(job.error);
      return;
    }
  }
  for (int64_t begin = 0; begin < n; begin += grain) {
    fn(context, begin, std::min(n, begin + grain), 0);
  }
}

void parallel_team(int threads, const void* context, TeamFn fn) {
  threads = std::clamp(threads, 1, num_threads());
  if (threads > 1 && !inside) {
    Job job;
    job.context = context;
    job.team = fn;
    job.threads = threads;
    if (pool().run(threads, job)) {
      if (job.error) std::rethrow_exception(job.error);
      return;
    }
  }
  fn(context, 0, 1);
}

}  // namespace detail
}  // namespace tallow
