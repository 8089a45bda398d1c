// Reductions and cumulative ops. `dim` names the dimensions that are reduced, all where none is
// given; `keepdim` keeps them with size 1. NaN propagates. `dtype` is what self is converted to
// first; integers are summed and multiplied in i64.
#pragma once

#include "tallow/op.h"
#include "tallow/ops/results.h"
#include "tallow/tensor.h"

namespace tallow {

Tensor sum(const Tensor& self, const Dims& dim = {}, bool keepdim = false,
           std::optional<DType> dtype = {});
Tensor mean(const Tensor& self, const Dims& dim = {}, bool keepdim = false,
            std::optional<DType> dtype = {});
/// The sum with NaN taken as 0.
Tensor nansum(const Tensor& self, const Dims& dim = {}, bool keepdim = false,
              std::optional<DType> dtype = {});
/// The mean of what is not NaN.
Tensor nanmean(const Tensor& self, const Dims& dim = {}, bool keepdim = false,
               std::optional<DType> dtype = {});
Tensor prod(const Tensor& self, std::optional<int64_t> dim = {}, bool keepdim = false,
            std::optional<DType> dtype = {});

/// Largest elements; ties share the gradient. Throws Error where there is nothing to choose from.
Tensor amax(const Tensor& self, const Dims& dim = {}, bool keepdim = false);
Tensor amin(const Tensor& self, const Dims& dim = {}, bool keepdim = false);
MinMax aminmax(const Tensor& self, std::optional<int64_t> dim = {}, bool keepdim = false);
Tensor max(const Tensor& self);
/// The largest element along `dim` and the first index at which it stands.
ValuesIndices max(const Tensor& self, int64_t dim, bool keepdim = false);
/// As maximum.
Tensor max(const Tensor& self, const Tensor& other);
Tensor min(const Tensor& self);
/// The smallest element along `dim` and the first index at which it stands.
ValuesIndices min(const Tensor& self, int64_t dim, bool keepdim = false);
/// As minimum.
Tensor min(const Tensor& self, const Tensor& other);
/// The first index of the largest element: along `dim`, or of the flattened tensor.
Tensor argmax(const Tensor& self, std::optional<int64_t> dim = {}, bool keepdim = false);
Tensor argmin(const Tensor& self, std::optional<int64_t> dim = {}, bool keepdim = false);

/// Whether all (any) elements differ from zero: bool, or u8 for u8.
Tensor all(const Tensor& self, const Dims& dim = {}, bool keepdim = false);
Tensor any(const Tensor& self, const Dims& dim = {}, bool keepdim = false);
Tensor count_nonzero(const Tensor& self, const Dims& dim = {});

/// The sum of squared distances to the mean, over the number of elements less `correction`
/// (Bessel's 1 unless given). `unbiased` is a correction of 1 or 0.
Tensor var(const Tensor& self, bool unbiased);
Tensor var(const Tensor& self, int dim);  // since a 1 would become a bool
Tensor var(const Tensor& self, const Dims& dim, bool unbiased, bool keepdim = false);
Tensor var(const Tensor& self, const Dims& dim = {}, std::optional<double> correction = {},
           bool keepdim = false);
Tensor std(const Tensor& self, bool unbiased);
Tensor std(const Tensor& self, int dim);  // since a 1 would become a bool
Tensor std(const Tensor& self, const Dims& dim, bool unbiased, bool keepdim = false);
Tensor std(const Tensor& self, const Dims& dim = {}, std::optional<double> correction = {},
           bool keepdim = false);
/// The variance (deviation) and the mean.
Tensors var_mean(const Tensor& self, bool unbiased);
Tensors var_mean(const Tensor& self, int dim);  // since a 1 would become a bool
Tensors var_mean(const Tensor& self, const Dims& dim, bool unbiased, bool keepdim = false);
Tensors var_mean(const Tensor& self, const Dims& dim = {}, std::optional<double> correction = {},
                 bool keepdim = false);
Tensors std_mean(const Tensor& self, bool unbiased);
Tensors std_mean(const Tensor& self, int dim);  // since a 1 would become a bool
Tensors std_mean(const Tensor& self, const Dims& dim, bool unbiased, bool keepdim = false);
Tensors std_mean(const Tensor& self, const Dims& dim = {}, std::optional<double> correction = {},
                 bool keepdim = false);

/// The vector norm of order p, which may be infinite or negative: sum(|x|^p)^(1/p).
Tensor norm(const Tensor& self, std::optional<double> p, const Dims& dim = {}, bool keepdim = false,
            std::optional<DType> dtype = {});
/// "fro" is the vector norm of order 2, "nuc" the sum of a matrix's singular values.
Tensor norm(const Tensor& self, std::string_view p = "fro", const Dims& dim = {},
            bool keepdim = false, std::optional<DType> dtype = {});
/// norm(self - other, p)
Tensor dist(const Tensor& self, const Tensor& other, double p = 2);
/// Slices along `dim` whose norm of order p is above maxnorm, scaled down to it.
Tensor renorm(const Tensor& self, double p, int64_t dim, double maxnorm);
/// log(sum(exp(x))), computed without overflow.
Tensor logsumexp(const Tensor& self, const Dims& dim, bool keepdim = false);

Tensor cumsum(const Tensor& self, int64_t dim, std::optional<DType> dtype = {});
Tensor cumprod(const Tensor& self, int64_t dim, std::optional<DType> dtype = {});
/// The largest element so far and the last index at which it stands.
ValuesIndices cummax(const Tensor& self, int64_t dim);
ValuesIndices cummin(const Tensor& self, int64_t dim);
Tensor logcumsumexp(const Tensor& self, int64_t dim);

/// The n-th differences of neighbours along `dim`, of `prepend`, self and `append` joined.
Tensor diff(const Tensor& self, int64_t n = 1, int64_t dim = -1, const Tensor& prepend = {},
            const Tensor& append = {});
/// The integral of y along `dim` by the trapezoidal rule, at the points x or `dx` apart.
Tensor trapezoid(const Tensor& y, double dx = 1, int64_t dim = -1);
Tensor trapezoid(const Tensor& y, const Tensor& x, int64_t dim = -1);
Tensor trapz(const Tensor& y, double dx = 1, int64_t dim = -1);
Tensor trapz(const Tensor& y, const Tensor& x, int64_t dim = -1);
Tensor cumulative_trapezoid(const Tensor& y, double dx = 1, int64_t dim = -1);
Tensor cumulative_trapezoid(const Tensor& y, const Tensor& x, int64_t dim = -1);

/// Covariances of the rows of self [variables, observations]; weights are per observation.
Tensor cov(const Tensor& self, int64_t correction = 1, const Tensor& fweights = {},
           const Tensor& aweights = {});
Tensor corrcoef(const Tensor& self);

}  // namespace tallow
