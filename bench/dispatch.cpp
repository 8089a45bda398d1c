// What one call of a tiny op costs, from the call to the freed result: nanoseconds, the best of
// several runs. The aim is 200.
#include <algorithm>
#include <chrono>
#include <cstdio>

#include "tallow/autograd.h"
#include "tallow/ops.h"

namespace {

template <class F>
double nanoseconds(const F& f) {
  constexpr int kCalls = 20000;
  double best = 1e30;
  for (int run = 0; run < 20; ++run) {
    auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < kCalls; ++i) f();
    std::chrono::duration<double, std::nano> time = std::chrono::steady_clock::now() - begin;
    best = std::min(best, time.count() / kCalls);
  }
  return best;
}

}  // namespace

int main() {
  using namespace tallow;
  Tensor a = Tensor::full({1}, 1), b = Tensor::full({1}, 2), m = Tensor::full({4, 4}, 1);
  Tensor w = Tensor::full({1}, 1).requires_grad_();
  std::printf("add [1] + [1]        %6.0f ns\n", nanoseconds([&] { (void)(a + b); }));
  std::printf("add [1] + 1.0        %6.0f ns\n", nanoseconds([&] { (void)(a + 1.0); }));
  std::printf("add, with history    %6.0f ns\n", nanoseconds([&] { (void)(w + b); }));
  std::printf("exp [4, 4]           %6.0f ns\n", nanoseconds([&] { (void)exp(m); }));
  std::printf("transpose [4, 4]     %6.0f ns\n", nanoseconds([&] { (void)m.transpose(0, 1); }));
  std::printf("sum [4, 4]           %6.0f ns\n", nanoseconds([&] { (void)sum(m); }));
}
