// Checked indices and masks.
#include "ops/indexing/indices.h"

#include <algorithm>
#include <cstring>

#include "ops/elements.h"
#include "tallow/autograd.h"
#include "tallow/error.h"
#include "tallow/ops.h"
#include "tallow/parallel.h"

namespace tallow {

void check_index_dtype(const char* op, const Tensor& index) {
  if (index.numel() == 0 && is_integral(index.dtype())) return;
  if (index.dtype() != DType::i64 && index.dtype() != DType::i32) {
    fail(op, ": index is ", index, "; it needs i64 or i32");
  }
}

Tensor as_indices(const Tensor& index) {
  NoGrad no_grad;
  return contiguous(index.dtype() == DType::i64 ? index : index.to(DType::i64));
}

Tensor checked_index(const char* op, const Tensor& index, int64_t size, bool wraps) {
  const Tensor list = as_indices(index);
  const int64_t n = list.numel(), *values = list.data<int64_t>();
  int64_t least = 0, most = -1;
  for (int64_t i = 0; i < n; ++i) {
    least = std::min(least, values[i]);
    most = std::max(most, values[i]);
  }
  if (most >= size || least < (wraps ? -size : 0)) {
    fail_index(op, ": index ", most >= size ? most : least, " is out of range for size ", size);
  }
  if (least >= 0) return list;
  Tensor wrapped = Tensor::empty(list.shape(), DType::i64);
  int64_t* to = wrapped.data<int64_t>();
  for (int64_t i = 0; i < n; ++i) to[i] = values[i] < 0 ? values[i] + size : values[i];
  return wrapped;
}

Tensor true_positions(const Tensor& mask) {
  NoGrad no_grad;
  const Tensor flags = contiguous(mask.to(DType::boolean));
  const auto* flag = static_cast<const uint8_t*>(flags.raw());
  const int64_t n = flags.numel();
  constexpr int64_t kPart = 64 << 10;
  const int64_t parts = (n + kPart - 1) / kPart;
  std::vector<int64_t> starts(static_cast<size_t>(parts) + 1, 0);
  parallel_for(parts, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t p = begin; p < end; ++p) {
      int64_t count = 0;
      for (int64_t i = p * kPart; i < std::min(n, (p + 1) * kPart); ++i) count += flag[i];
      starts[static_cast<size_t>(p) + 1] = count;
    }
  });
  for (size_t p = 1; p < starts.size(); ++p) starts[p] += starts[p - 1];
  Tensor positions = Tensor::empty({starts.back()}, DType::i64);
  parallel_for(parts, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t p = begin; p < end; ++p) {
      int64_t* to = positions.data<int64_t>() + starts[static_cast<size_t>(p)];
      const int64_t limit = std::min(n, (p + 1) * kPart);
      int64_t i = p * kPart;
      for (; i < limit; ++i) {
        // Eight false flags at once.
        uint64_t eight = 0;
        if (i + 8 <= limit && (std::memcpy(&eight, flag + i, 8), eight == 0)) {
          i += 7;
        } else if (flag[i]) {
          *to++ = i;
        }
      }
    }
  });
  return positions;
}

DType accumulation_dtype(DType dtype) {
  if (dtype == DType::f64 || is_complex(dtype)) return dtype;
  return is_integral(dtype) ? DType::i64 : DType::f32;
}

}  // namespace tallow
