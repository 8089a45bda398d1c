// Pieces of a tensor along a dimension, each a view.
#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

int split_dim(const Tensor& x, int64_t dim, const char* op) {
  if (x.dim() == 0) fail(op, ": a 0-dimensional tensor cannot be split");
  return normalize_dim(dim, x.dim(), op);
}

Tensors pieces(const Tensor& self, const Dims& sizes, int dim, const char* op) {
  Tensors result;
  int64_t at = 0;
  for (int64_t n : sizes) {
    if (n < 0) fail(op, ": size ", n, " is negative");
    if (n > self.shape()[dim] - at) {
      fail(op, ": the sizes add up to more than ", self.shape()[dim], ", dimension ", dim, " of ",
           self);
    }
    result.push_back(narrow(self, dim, at, n));
    at += n;
  }
  if (at != self.shape()[dim]) {
    fail(op, ": the sizes add up to ", at, ", not to ", self.shape()[dim], ", dimension ", dim,
         " of ", self);
  }
  return result;
}

Tensors split_evenly(const Tensor& self, int64_t size, int dim, const char* op) {
  const int64_t n = self.shape()[dim];
  if (size < 0) fail(op, ": split_size ", size, " is negative");
  if (size == 0 && n > 0) fail(op, ": split_size 0 does not divide dimension ", dim, " of ", self);
  Tensors result;
  if (n == 0) return {narrow(self, dim, 0, 0)};
  for (int64_t at = 0; at < n;) {
    const int64_t part = std::min(size, n - at);
    result.push_back(narrow(self, dim, at, part));
    at += part;
  }
  return result;
}

// As Python's slices: the pieces between the bounds.
Tensors split_at(const Tensor& self, std::span<const int64_t> indices, int dim) {
  Tensors result;
  int64_t start = 0;
  for (int64_t end : indices) {
    result.push_back(slice(self, dim, start, end));
    start = end;
  }
  result.push_back(slice(self, dim, start));
  return result;
}

Tensors split_into(const Tensor& self, int64_t sections, int dim) {
  if (sections < 1 || sections > 1 << 20) {
    fail("tensor_split: ", sections, " sections; from 1 to 2^20 can be had");
  }
  const int64_t n = self.shape()[dim], size = n / sections, longer = n % sections;
  Tensors result;
  for (int64_t i = 0, at = 0; i < sections; ++i) {
    const int64_t part = size + (i < longer ? 1 : 0);
    result.push_back(narrow(self, dim, at, part));
    at += part;
  }
  return result;
}

Tensors split_named(const Tensor& self, const Dims& how, int dim, const char* op) {
  if (how.is_number() && (how[0] < 1 || self.shape()[dim] % how[0] != 0)) {
    fail(op, ": ", how[0], " sections do not divide dimension ", dim, " of ", self);
  }
  return tensor_split(self, how, dim);
}

Tensors copies(Tensors pieces) {
  for (Tensor& t : pieces) t = clone(t);
  return pieces;
}

}  // namespace

Tensor narrow(const Tensor& self, int64_t dim, const Tensor& start, int64_t length) {
  if (start.dim() != 0 || !is_integral(start.dtype()) || start.dtype() == DType::boolean) {
    fail("narrow: start is ", start, "; it must be a 0-dimensional tensor of integers");
  }
  return narrow(self, dim, static_cast<int64_t>(start.item()), length);
}

Tensors split(const Tensor& self, const Dims& split_size_or_sections, int64_t dim) {
  const int at = split_dim(self, dim, "split");
  if (!split_size_or_sections.is_number()) {
    return pieces(self, split_size_or_sections, at, "split");
  }
  return split_evenly(self, split_size_or_sections[0], at, "split");
}

Tensors split_with_sizes(const Tensor& self, const Dims& split_sizes, int64_t dim) {
  return pieces(self, split_sizes, split_dim(self, dim, "split_with_sizes"), "split_with_sizes");
}
Tensors unsafe_split(const Tensor& self, int64_t split_size, int64_t dim) {
  return split(self, split_size, dim);
}
Tensors unsafe_split_with_sizes(const Tensor& self, const Dims& split_sizes, int64_t dim) {
  return split_with_sizes(self, split_sizes, dim);
}

Tensors chunk(const Tensor& self, int64_t chunks, int64_t dim) {
  const int at = split_dim(self, dim, "chunk");
  if (chunks < 1) fail("chunk: ", chunks, " chunks; at least 1 is needed");
  const int64_t n = self.shape()[at], size = n / chunks + (n % chunks != 0);
  if (n > 0) return split_evenly(self, size, at, "chunk");
  // An empty dimension makes as many empty chunks as asked for.
  return Tensors(static_cast<size_t>(chunks), narrow(self, at, 0, 0));
}
Tensors unsafe_chunk(const Tensor& self, int64_t chunks, int64_t dim) {
  return chunk(self, chunks, dim);
}

Tensors tensor_split(const Tensor& self, const Dims& indices_or_sections, int64_t dim) {
  const int at = split_dim(self, dim, "tensor_split");
  if (indices_or_sections.is_number()) return split_into(self, indices_or_sections[0], at);
  return split_at(self, indices_or_sections, at);
}

Tensors tensor_split(const Tensor& self, const Tensor& tensor_indices_or_sections, int64_t dim) {
  const Tensor& how = tensor_indices_or_sections;
  const int at = split_dim(self, dim, "tensor_split");
  if (how.dtype() != DType::i64 || how.dim() > 1) {
    fail("tensor_split: indices are ", how, "; they need i64 of at most 1 dimension");
  }
  const Tensor list = contiguous(how);
  if (how.dim() == 0) return split_into(self, list.data<int64_t>()[0], at);
  return split_at(self, {list.data<int64_t>(), static_cast<size_t>(list.numel())}, at);
}

Tensors hsplit(const Tensor& self, const Dims& indices_or_sections) {
  if (self.dim() < 1) fail("hsplit: a 0-dimensional tensor cannot be split");
  return split_named(self, indices_or_sections, self.dim() == 1 ? 0 : 1, "hsplit");
}
Tensors vsplit(const Tensor& self, const Dims& indices_or_sections) {
  if (self.dim() < 2) fail("vsplit: ", self, " has fewer than 2 dimensions");
  return split_named(self, indices_or_sections, 0, "vsplit");
}
Tensors dsplit(const Tensor& self, const Dims& indices_or_sections) {
  if (self.dim() < 3) fail("dsplit: ", self, " has fewer than 3 dimensions");
  return split_named(self, indices_or_sections, 2, "dsplit");
}

Tensors unbind(const Tensor& self, int64_t dim) {
  if (self.dim() == 0) fail_index("unbind: a 0-dimensional tensor has no slices");
  const int at = normalize_dim(dim, self.dim(), "unbind");
  Tensors result;
  for (int64_t i = 0; i < self.shape()[at]; ++i) result.push_back(select(self, at, i));
  return result;
}

Tensors unbind_copy(const Tensor& self, int64_t dim) { return copies(unbind(self, dim)); }
Tensors split_copy(const Tensor& self, int64_t split_size, int64_t dim) {
  return copies(split(self, split_size, dim));
}
Tensors split_with_sizes_copy(const Tensor& self, const Dims& split_sizes, int64_t dim) {
  return copies(split_with_sizes(self, split_sizes, dim));
}

}  // namespace tallow
