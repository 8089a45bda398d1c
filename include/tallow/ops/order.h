// Order: sorting, ranking, searching and counting. NaN counts as the largest element.
#pragma once

#include "tallow/op.h"
#include "tallow/ops/results.h"
#include "tallow/tensor.h"

namespace tallow {

/// The elements along `dim` in order, and where each stood. Always stable.
ValuesIndices sort(const Tensor& self, int64_t dim = -1, bool descending = false,
                   bool stable = false);
Tensor argsort(const Tensor& self, int64_t dim = -1, bool descending = false, bool stable = false);
/// sort(self, 0).values
Tensor msort(const Tensor& self);
/// The k largest (smallest) elements along `dim`, in order where `sorted`.
ValuesIndices topk(const Tensor& self, int64_t k, int64_t dim = -1, bool largest = true,
                   bool sorted = true);
/// The k-th smallest element along `dim`, counted from 1.
ValuesIndices kthvalue(const Tensor& self, int64_t k, int64_t dim = -1, bool keepdim = false);
/// The median, the lower one of two. NaN where there is a NaN.
Tensor median(const Tensor& self);
ValuesIndices median(const Tensor& self, int64_t dim, bool keepdim = false);
/// The median of what is not NaN.
Tensor nanmedian(const Tensor& self);
ValuesIndices nanmedian(const Tensor& self, int64_t dim, bool keepdim = false);
/// The most frequent element along `dim`, the smallest of several.
ValuesIndices mode(const Tensor& self, int64_t dim = -1, bool keepdim = false);
/// The elements at the fraction q of the order along `dim` (of all elements). q is a number or [k],
/// whose results come first. interpolation: "linear", "lower", "higher", "midpoint", "nearest".
Tensor quantile(const Tensor& self, const Tensor& q, std::optional<int64_t> dim = {},
                bool keepdim = false, std::string_view interpolation = "linear");
/// As quantile, of what is not NaN.
Tensor nanquantile(const Tensor& self, const Tensor& q, std::optional<int64_t> dim = {},
                   bool keepdim = false, std::string_view interpolation = "linear");

/// The distinct elements (or slices along `dim`) in order; then, where asked for, which of them
/// each element is, and how often each one comes.
Tensors unique(const Tensor& self, bool sorted = true, bool return_inverse = false,
               bool return_counts = false, std::optional<int64_t> dim = {});
/// The same for runs of equal neighbours.
Tensors unique_consecutive(const Tensor& self, bool return_inverse = false,
                           bool return_counts = false, std::optional<int64_t> dim = {});

/// Where each of `input` [.., m] would be inserted into the ascending rows of sorted_sequence
/// [.., n] or [n]: before equal elements, or behind them (right, side = "right"). `sorter` [.., n]
/// is the order that sorts the rows.
Tensor searchsorted(const Tensor& sorted_sequence, const Tensor& input, bool out_int32 = false,
                    bool right = false, std::string_view side = "", const Tensor& sorter = {});
/// searchsorted(boundaries, input)
Tensor bucketize(const Tensor& input, const Tensor& boundaries, bool out_int32 = false,
                 bool right = false);
/// Whether each element is among test_elements.
Tensor isin(const Tensor& elements, const Tensor& test_elements, bool assume_unique = false,
            bool invert = false);
/// How often each of 0, 1, .. comes in self [n], or the sum of its weights.
Tensor bincount(const Tensor& self, const Tensor& weights = {}, int64_t minlength = 0);
/// Counts of elements in `bins` equal intervals of [min, max], which are self's where both are 0.
Tensor histc(const Tensor& self, int64_t bins = 100, double min = 0, double max = 0);
/// Counts (or sums of `weight`) between the ascending edges `bins`, or in `bins` equal intervals of
/// `range` [2]; `density` divides by the total and the width. Also gives the edges.
Histogram histogram(const Tensor& self, int64_t bins, const Tensor& range = {},
                    const Tensor& weight = {}, bool density = false);
Histogram histogram(const Tensor& self, const Tensor& bins, const Tensor& weight = {},
                    bool density = false);

}  // namespace tallow
