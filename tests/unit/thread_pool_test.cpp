// The fork/join pool: coverage, nesting, exceptions, resizing, and life after fork.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tallow/error.h"
#include "tallow/parallel.h"

using namespace tallow;

namespace {

struct Threads {
  explicit Threads(int n) { set_num_threads(n); }
  ~Threads() { set_num_threads(0); }
};

int64_t count_to(int64_t n, int64_t grain) {
  std::atomic<int64_t> total{0};
  parallel_for(n, grain, [&](int64_t begin, int64_t end, int) { total += end - begin; });
  return total;
}

}  // namespace

TEST_CASE("parallel_for covers every index once") {
  for (int threads : {1, 2, 3, 8}) {
    Threads guard(threads);
    for (int64_t n : {0, 1, 7, 1000}) {
      std::vector<std::atomic<int>> seen(static_cast<size_t>(n));
      parallel_for(n, 3, [&](int64_t begin, int64_t end, int thread) {
        CHECK(thread < threads);
        CHECK(end - begin <= 3);
        for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
      });
      for (auto& s : seen) CHECK(s == 1);
    }
  }
}

TEST_CASE("a team meets at its barrier") {
  Threads guard(4);
  Barrier barrier(4);
  std::atomic<int> before{0}, wrong{0};
  parallel_team(4, [&](int, int threads) {
    for (int round = 1; round <= 100; ++round) {
      ++before;
      barrier.wait();
      wrong += before != round * threads;
      barrier.wait();
    }
  });
  CHECK(wrong == 0);
}

TEST_CASE("a nested call runs inline") {
  Threads guard(3);
  std::atomic<int64_t> total{0};
  parallel_for(6, 1, [&](int64_t, int64_t, int) { total += count_to(10, 1); });
  CHECK(total == 60);
}

TEST_CASE("an exception reaches the caller, and the pool goes on") {
  Threads guard(3);
  for (int i = 0; i < 20; ++i) {
    CHECK_THROWS_AS(parallel_for(100, 1,
                                 [](int64_t begin, int64_t, int) {
                                   if (begin == 50) fail("fifty");
                                 }),
                    Error);
    CHECK(count_to(100, 1) == 100);
  }
}

TEST_CASE("callers on several threads share the pool") {
  Threads guard(2);
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&] {
      for (int i = 0; i < 200; ++i) wrong += count_to(50, 1) != 50;
    });
  }
  for (std::thread& t : callers) t.join();
  CHECK(wrong == 0);
}

#if !defined(__SANITIZE_THREAD__)
TEST_CASE("the child of a fork has a pool of its own") {
  Threads guard(3);
  CHECK(count_to(100, 1) == 100);
  pid_t child = fork();
  if (child == 0) _exit(count_to(100, 1) == 100 ? 0 : 1);
  int status = -1;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(count_to(100, 1) == 100);
}
#endif
