// Indexing: picking and writing elements by position, index or mask. Indices are integers; an index
// out of range throws IndexError. The C++ notation x[{1, Slice(0, 5), mask}] is in indexing.h.
#pragma once

#include "tallow/op.h"
#include "tallow/tensor.h"

namespace tallow {

/// NumPy's advanced indexing: a tensor of integers (negative ones count from the end) or a mask for
/// each dimension, an undefined tensor for a dimension that is taken whole. Indices broadcast.
Tensor index(const Tensor& self, const Tensors& indices);
/// self with `values` (which broadcast) written, or added where `accumulate`, at such indices.
Tensor index_put(const Tensor& self, const Tensors& indices, const Tensor& values,
                 bool accumulate = false);

/// Slices along `dim` picked by index [n].
Tensor index_select(const Tensor& self, int64_t dim, const Tensor& index);
/// self with alpha times the slices of source added at index [n].
Tensor index_add(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& source,
                 const Scalar& alpha = 1);
/// self with the slices of source written at index [n].
Tensor index_copy(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& source);
/// self with the slices at index [n] set to a number or a 0-dimensional tensor.
Tensor index_fill(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& value);
/// self reduced with the slices of source at index [n]: "prod", "mean", "amax" or "amin".
Tensor index_reduce(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& source,
                    std::string_view reduce, bool include_self = true);

/// result[i][j] = self[index[i][j]][j] for dim 0, and so on. Gradients are dense.
Tensor gather(const Tensor& self, int64_t dim, const Tensor& index, bool sparse_grad = false);
/// self with self[index[i][j]][j] = src[i][j] for dim 0, and so on; src may be a number. With
/// `reduce` "add" or "multiply" the values are combined.
Tensor scatter(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src,
               std::string_view reduce = "");
Tensor scatter_add(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src);
/// The same with "sum", "prod", "mean", "amax" or "amin"; without include_self, only the values of
/// src count where there are some.
Tensor scatter_reduce(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src,
                      std::string_view reduce, bool include_self = true);
/// Elements of the flat tensor.
Tensor take(const Tensor& self, const Tensor& index);
/// self with elements of the flat tensor replaced, or added to.
Tensor put(const Tensor& self, const Tensor& index, const Tensor& source, bool accumulate = false);
/// gather whose shapes broadcast outside `dim`; on the flat tensors without it.
Tensor take_along_dim(const Tensor& self, const Tensor& indices, std::optional<int64_t> dim = {});

/// self with one slice of a dimension replaced.
Tensor select_scatter(const Tensor& self, const Tensor& src, int64_t dim, int64_t index);
Tensor slice_scatter(const Tensor& self, const Tensor& src, int64_t dim = 0,
                     std::optional<int64_t> start = {}, std::optional<int64_t> end = {},
                     int64_t step = 1);
Tensor diagonal_scatter(const Tensor& self, const Tensor& src, int64_t offset = 0, int64_t dim1 = 0,
                        int64_t dim2 = 1);
Tensor as_strided_scatter(const Tensor& self, const Tensor& src, const Shape& size,
                          const Shape& stride, std::optional<int64_t> storage_offset = {});

/// self with `value`, a number or a 0-dimensional tensor, where mask (which broadcasts) is true.
Tensor masked_fill(const Tensor& self, const Tensor& mask, const Tensor& value);
/// The elements where mask is true, as a vector.
Tensor masked_select(const Tensor& self, const Tensor& mask);
/// self with elements of source, in order, where mask is true.
Tensor masked_scatter(const Tensor& self, const Tensor& mask, const Tensor& source);

/// The indices of the elements that are not zero: [count, dims].
Tensor nonzero(const Tensor& self);
/// The same in a result of fixed length, filled up with fill_value.
Tensor nonzero_static(const Tensor& self, int64_t size, int64_t fill_value = -1);
Tensor argwhere(const Tensor& self);
/// Classes [...] as i64 vectors [..., num_classes] of zeros with a one; as many classes as the
/// largest needs where num_classes is -1.
Tensor one_hot(const Tensor& self, int64_t num_classes = -1);
/// Coordinates, a tensor per dimension of `shape`, of flat indices.
Tensors unravel_index(const Tensor& indices, const Shape& shape);

/// Rows of weight [vocab, dim] picked by input [...]. The row padding_idx gets no gradient; rows
/// longer than max_norm are first scaled down to it, in place. Gradients are dense, also where
/// `sparse` asks for others.
Tensor embedding(const Tensor& input, const Tensor& weight, std::optional<int64_t> padding_idx = {},
                 std::optional<double> max_norm = {}, double norm_type = 2.0,
                 bool scale_grad_by_freq = false, bool sparse = false);
/// The sum, mean or max of the rows of each bag. Bags are the rows of input [bags, n], or begin at
/// `offsets` of input [n].
Tensor embedding_bag(const Tensor& input, const Tensor& weight, const Tensor& offsets = {},
                     std::optional<double> max_norm = {}, double norm_type = 2.0,
                     bool scale_grad_by_freq = false, std::string_view mode = "mean",
                     bool sparse = false, const Tensor& per_sample_weights = {},
                     bool include_last_offset = false, std::optional<int64_t> padding_idx = {});

/// A vector as the diagonal of a matrix, or a diagonal of a matrix as a vector.
Tensor diag(const Tensor& self, int64_t diagonal = 0);
/// The last dimension as a diagonal of two new ones, zeros elsewhere.
Tensor diag_embed(const Tensor& self, int64_t offset = 0, int64_t dim1 = -2, int64_t dim2 = -1);
/// The flat tensor as the diagonal of a matrix.
Tensor diagflat(const Tensor& self, int64_t offset = 0);
/// Zeros above the diagonal of each matrix.
Tensor tril(const Tensor& self, int64_t diagonal = 0);
/// Zeros below it.
Tensor triu(const Tensor& self, int64_t diagonal = 0);
/// The sum of the diagonal of a matrix.
Tensor trace(const Tensor& self);

}  // namespace tallow
