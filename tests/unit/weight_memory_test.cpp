// Which forms of weights are kept within the limit of their memory, by one thread and by several.
#include <doctest/doctest.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "tallow/buffer.h"
#include "tallow/error.h"

using namespace tallow;

namespace {

struct Limit {
  explicit Limit(int64_t bytes) : before(weight_memory()) { set_weight_memory(bytes); }
  ~Limit() { set_weight_memory(before); }
  Limit(const Limit&) = delete;
  int64_t before;
};

/// A buffer whose form at an offset says which one it is, and how many there are.
struct Weights {
  std::shared_ptr<Buffer> buffer = Buffer::allocate(1);
  std::atomic<int> made{0}, alive{0};

  std::shared_ptr<int64_t> use(int64_t offset, int64_t bytes = 100) {
    return std::static_pointer_cast<int64_t>(buffer->packed(
        offset, 0,
        [&]() -> std::shared_ptr<void> {
          ++made, ++alive;
          return std::shared_ptr<int64_t>(new int64_t(offset), [this](int64_t* p) {
            *p = -1;
            delete p;
            --alive;
          });
        },
        bytes));
  }
};

}  // namespace

TEST_CASE("weights that are used in turn keep those forms that fit") {
  const Limit limit(weight_memory_in_use() + 250);
  Weights weights;
  for (int pass = 0; pass < 50; ++pass) {
    for (int64_t i = 0; i < 5; ++i) CHECK((weights.use(i) != nullptr) == (i < 2));
  }
  CHECK(weights.made == 2);
  CHECK(weights.alive == 2);
}

TEST_CASE("a form that is used more often takes the place of one that is not") {
  const int64_t before = weight_memory_in_use();
  {
    const Limit limit(before + 200);
    Weights weights;
    for (int64_t i = 0; i < 2; ++i) CHECK(weights.use(i));
    for (int use = 0; use < 2; ++use) CHECK(!weights.use(2));
    for (int use = 0; use < 9; ++use) weights.use(2), weights.use(1);
    CHECK(weights.use(2));
    CHECK(weights.use(1));
    CHECK(weights.alive == 2);
    CHECK(weight_memory_in_use() == before + 200);
    CHECK(!weights.use(3, 300));
    CHECK(!weights.use(0));
    for (int use = 0; use < 200; ++use) weights.use(0);
    CHECK(weights.use(0));
  }
  CHECK(weight_memory_in_use() == before);
}

TEST_CASE("a form outlives its place while somebody holds it, and is not dropped") {
  const Limit limit(weight_memory_in_use() + 100);
  Weights weights;
  const auto held = weights.use(7);
  for (int use = 0; use < 20; ++use) CHECK(!weights.use(8));
  set_weight_memory(0);
  CHECK(weights.use(7) == held);
  weights.buffer.reset();
  CHECK(*held == 7);
  CHECK(weights.alive == 1);
}

TEST_CASE("a smaller limit drops forms, and one that could not be made leaves its room") {
  const int64_t before = weight_memory_in_use();
  const Limit limit(before + 1000);
  Weights weights;
  for (int64_t i = 0; i < 10; ++i) weights.use(i);
  set_weight_memory(before + 450);
  CHECK(weights.alive == 4);
  weights.buffer->modified();
  CHECK(weight_memory_in_use() == before);
  const auto fails = []() -> std::shared_ptr<void> { fail("no such form"); };
  CHECK_THROWS_AS(weights.buffer->packed(0, 0, fails, 100), Error);
  CHECK(weight_memory_in_use() == before);
  CHECK(weights.use(0));
  CHECK_THROWS_AS(set_weight_memory(-1), Error);
}

TEST_CASE("threads share forms within the limit") {
  const int64_t before = weight_memory_in_use();
  const Limit limit(before + 1000);
  Weights weights[2];
  std::atomic<int> wrong{0};
  const auto work = [&](unsigned seed) {
    std::mt19937 random(seed);
    for (int i = 0; i < 5000; ++i) {
      const int64_t offset = random() % (i / 1000 % 2 ? 8 : 20);
      const auto form = weights[random() % 2].use(offset);
      if (form && *form != offset) ++wrong;
      if (weight_memory_in_use() > before + 1000) ++wrong;
    }
  };
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) threads.emplace_back(work, t);
  for (std::thread& t : threads) t.join();
  CHECK(wrong == 0);
  CHECK(weights[0].alive + weights[1].alive == (weight_memory_in_use() - before) / 100);
}
