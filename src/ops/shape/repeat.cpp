// Repeats of whole tensors and of their elements.
#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {

Tensor repeat(const Tensor& self, const Shape& repeats) {
  const int extra = repeats.size() - self.dim();
  if (extra < 0) fail("repeat: ", repeats.size(), " repeats for the dimensions of ", self);
  // [r0, n0, r1, n1, ...] without a copy, then one copy to [r0 n0, r1 n1, ...].
  Shape apart, wide, joined;
  Tensor x = self;
  for (int i = 0; i < repeats.size(); ++i) {
    const int64_t n = i < extra ? 1 : self.shape()[i - extra];
    int64_t total = 0;
    if (repeats[i] < 0) fail("repeat: ", repeats[i], " repeats are negative");
    if (__builtin_mul_overflow(n, repeats[i], &total)) fail("repeat: ", repeats, " overflows");
    joined.push_back(total);
    if (repeats[i] != 1) {
      apart.push_back(1);
      wide.push_back(repeats[i]);
    }
    apart.push_back(n);
    wide.push_back(n);
  }
  const Tensor result = reshape(expand(reshape(x, apart), wide), joined);
  return result.buffer() == self.buffer() ? clone(result) : result;
}

Tensor tile(const Tensor& self, const Dims& dims) {
  Shape repeats(dims);
  while (repeats.size() < self.dim()) repeats.insert(0, 1);
  return repeat(self, repeats);
}

Tensor repeat_interleave(const Tensor& self, int64_t repeats, std::optional<int64_t> dim,
                         std::optional<int64_t> output_size) {
  if (repeats < 0) fail("repeat_interleave: ", repeats, " repeats are negative");
  const Tensor x = dim ? self : flatten(self);
  const int at = normalize_dim(dim.value_or(0), x.dim(), "repeat_interleave");
  if (x.dim() == 0) return repeat_interleave(reshape(x, {1}), repeats, 0, output_size);
  Shape wide = x.shape(), joined = x.shape();
  wide.insert(at + 1, repeats);
  if (__builtin_mul_overflow(x.shape()[at], repeats, &joined[at])) {
    fail("repeat_interleave: ", repeats, " repeats of ", x, " overflow");
  }
  if (output_size && *output_size != joined[at]) {
    fail("repeat_interleave: output_size ", *output_size, " is not ", joined[at]);
  }
  const Tensor result = reshape(expand(unsqueeze(x, at + 1), wide), joined);
  return result.buffer() == self.buffer() ? clone(result) : result;
}

Tensor repeat_interleave(const Tensor& repeats, std::optional<int64_t> output_size) {
  if (repeats.dim() != 1 || (repeats.dtype() != DType::i64 && repeats.dtype() != DType::i32)) {
    fail("repeat_interleave: repeats are ", repeats, "; they need i64 or i32 of 1 dimension");
  }
  const Tensor counts = contiguous(repeats.to(DType::i64));
  const int64_t* count = counts.data<int64_t>();
  int64_t total = 0;
  for (int64_t i = 0; i < counts.numel(); ++i) {
    if (count[i] < 0) fail("repeat_interleave: ", count[i], " repeats are negative");
    if (__builtin_add_overflow(total, count[i], &total)) {
      fail("repeat_interleave: the repeats add up to more than 2^63");
    }
  }
  if (output_size && *output_size != total) {
    fail("repeat_interleave: output_size ", *output_size, " is not ", total);
  }
  Tensor index = Tensor::empty({total}, DType::i64);
  int64_t* to = index.data<int64_t>();
  for (int64_t i = 0; i < counts.numel(); ++i) to = std::fill_n(to, count[i], i);
  return index.to(repeats.dtype());
}

Tensor repeat_interleave(const Tensor& self, const Tensor& repeats, std::optional<int64_t> dim,
                         std::optional<int64_t> output_size) {
  const Tensor x = dim ? self : flatten(self);
  const int at = normalize_dim(dim.value_or(0), x.dim(), "repeat_interleave");
  if (x.dim() == 0) return repeat_interleave(reshape(x, {1}), repeats, 0, output_size);
  const int64_t n = x.shape()[at];
  Tensor counts = repeats;
  if (repeats.dim() == 0 || (repeats.dim() == 1 && repeats.numel() == 1)) {
    counts = expand(reshape(repeats, {1}), {n});
  } else if (repeats.dim() != 1 || repeats.numel() != n) {
    fail("repeat_interleave: repeats ", repeats, " do not fit dimension ", at, " of ", x);
  }
  return index_select(x, at, repeat_interleave(counts, output_size));
}

}  // namespace tallow
