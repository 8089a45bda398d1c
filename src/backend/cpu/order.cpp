// Binds topk to a vector scan: what may be among the k best is collected by comparing whole vectors
// with the k-th best so far, and ranked only when many have come.
#include <algorithm>
#include <cmath>
#include <vector>

#include "backend/cpu/kernels.h"
#include "backend/cpu/reduce.h"
#include "ops/order/keys.h"
#include "ops/order/topk.h"
#include "tallow/parallel.h"

namespace tallow::cpu {

namespace {

constexpr int64_t kBlock = 2048;

const ReduceKernels* kernels = &isa_portable::reduce_kernels;

/// The k best elements of rows [n], as items whose order is theirs.
class Best {
 public:
  Best(int64_t k, int64_t n, bool largest)
      : k_(k),
        n_(n),
        room_(std::max<int64_t>(2 * k, 512)),
        mask_(largest ? kKeyMask<Item32> : 0),
        scan_(largest ? kernels->above : kernels->below),
        items_(static_cast<size_t>(std::min(n, room_ + kBlock) + kBlock)) {}

  const Item32* of_row(const float* x, bool sorted) {
    held_ = 0;
    int64_t i = 0;
    for (; i < std::min(n_, room_); ++i) add(x, i);
    while (i < n_) {
      const float limit = rank(x);
      // A NaN is no limit: nothing above it is found, and everything is below it.
      while (i < n_ && held_ < room_) i = scan(x, i, limit);
    }
    if (held_ > k_) std::nth_element(items_.begin(), items_.begin() + (k_ - 1), end());
    if (sorted) std::sort(items_.begin(), items_.begin() + k_);
    return items_.data();
  }

 private:
  std::vector<Item32>::iterator end() { return items_.begin() + held_; }

  void add(const float* x, int64_t i) {
    make_item(items_[static_cast<size_t>(held_++)], key_bits(x[i]) ^ mask_,
              static_cast<uint64_t>(i));
  }

  // Keeps the k best; returns the last of them.
  float rank(const float* x) {
    std::nth_element(items_.begin(), items_.begin() + (k_ - 1), end());
    held_ = k_;
    return x[index_of(items_[static_cast<size_t>(k_ - 1)])];
  }

  int64_t scan(const float* x, int64_t i, float limit) {
    int32_t places[kBlock];
    const int64_t count = std::min(kBlock, n_ - i);
    const bool all = std::isnan(limit) && mask_ == 0;
    const int64_t found = std::isnan(limit) ? 0 : scan_(x + i, count, limit, places);
    for (int64_t j = 0; j < found; ++j) add(x, i + places[j]);
    for (int64_t j = 0; all && j < count; ++j) add(x, i + j);
    return i + count;
  }

  int64_t k_, n_, room_, held_ = 0;
  uint64_t mask_;
  int64_t (*scan_)(const float*, int64_t, float, int32_t*);
  std::vector<Item32> items_;
};

void topk(Inputs in, Outputs out, const TopkOptions& o) {
  const Tensor& x = in[0];
  const int64_t n = x.dim() == 0 ? 1 : x.shape().back(), k = o.k;
  if (x.dtype() != DType::f32 || !x.is_contiguous() || out[0].numel() == 0 || n >= INT32_MAX ||
      16 * k > n || n < 1024) {
    return topk_op.fn.cpu(in, out, o);
  }
  const float* from = x.data<float>();
  parallel_for(x.numel() / n, std::max<int64_t>(1, 16 * kChunk / n),
               [&](int64_t begin, int64_t end, int) {
                 Best best(k, n, o.largest);
                 for (int64_t row = begin; row < end; ++row) {
                   const Item32* items = best.of_row(from + row * n, o.sorted);
                   for (int64_t i = 0; i < k; ++i) {
                     const int64_t at = index_of(items[i]);
                     out[1].data<int64_t>()[row * k + i] = at;
                     out[0].data<float>()[row * k + i] = from[row * n + at];
                   }
                 }
               });
}

}  // namespace

void bind_order() {
  kernels = &TALLOW_BY_ISA(reduce_kernels);
  topk_op.bind(DeviceKind::cpu, topk);
}

}  // namespace tallow::cpu
