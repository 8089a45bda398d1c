// Products of matrices and vectors, contractions and distances.
#pragma once

#include "tallow/op.h"
#include "tallow/tensor.h"

namespace tallow {

/// The matrix product of self [..., m, k] and other [..., k, n]: batch dimensions broadcast, a
/// vector stands for a row on the left and for a column on the right. Both have one dtype.
Tensor matmul(const Tensor& self, const Tensor& other);
/// self [m, k] times mat2 [k, n].
Tensor mm(const Tensor& self, const Tensor& mat2);
/// self [b, m, k] times mat2 [b, k, n].
Tensor bmm(const Tensor& self, const Tensor& mat2);
/// self [m, k] times vec [k].
Tensor mv(const Tensor& self, const Tensor& vec);
/// The sum of products of two vectors of one length.
Tensor dot(const Tensor& self, const Tensor& tensor);
/// The same with self conjugated.
Tensor vdot(const Tensor& self, const Tensor& other);
/// Dot products over the last dimensions: self [..., k], other [... 2, k] give [..., ... 2].
Tensor inner(const Tensor& self, const Tensor& other);
/// self [m] times vec2 [n]: [m, n].
Tensor outer(const Tensor& self, const Tensor& vec2);
Tensor ger(const Tensor& self, const Tensor& vec2);

/// beta * self + alpha * mat1 [m, k] mat2 [k, n]; self broadcasts to [m, n] and is not read where
/// beta is 0.
Tensor addmm(const Tensor& self, const Tensor& mat1, const Tensor& mat2, const Scalar& beta = 1,
             const Scalar& alpha = 1);
/// beta * self + alpha * mat [m, k] vec [k].
Tensor addmv(const Tensor& self, const Tensor& mat, const Tensor& vec, const Scalar& beta = 1,
             const Scalar& alpha = 1);
/// beta * self + alpha * outer(vec1, vec2).
Tensor addr(const Tensor& self, const Tensor& vec1, const Tensor& vec2, const Scalar& beta = 1,
            const Scalar& alpha = 1);
/// beta * self [m, n] + alpha * the sum over b of batch1 [b, m, k] batch2 [b, k, n].
Tensor addbmm(const Tensor& self, const Tensor& batch1, const Tensor& batch2,
              const Scalar& beta = 1, const Scalar& alpha = 1);
/// beta * self + alpha * batch1 [b, m, k] batch2 [b, k, n].
Tensor baddbmm(const Tensor& self, const Tensor& batch1, const Tensor& batch2,
               const Scalar& beta = 1, const Scalar& alpha = 1);

/// input [..., k] times weight [n, k] transposed, plus bias [n] if given: [..., n] in input's
/// dtype. A weight of a narrower real dtype, or of a block dtype, is read as it is. A weight [k]
/// gives [...].
Tensor linear(const Tensor& input, const Tensor& weight, const Tensor& bias = {});
/// y [..., o] = input1 [..., i] weight [o, i, j] input2 [..., j] + bias [o].
Tensor bilinear(const Tensor& input1, const Tensor& input2, const Tensor& weight,
                const Tensor& bias = {});

/// The sum of products that the equation names, as in "bij,bjk->bik": letters are dimensions, "..."
/// the broadcast rest, and letters without a place in the result are summed. Several operands are
/// contracted in the order that costs least at each step.
Tensor einsum(std::string_view equation, const Tensors& operands);
/// Contracts the last `dims` dimensions of a with the first of b.
Tensor tensordot(const Tensor& a, const Tensor& b, int64_t dims = 2);
/// Contracts the dimensions dims_self of a with dims_other of b, pair by pair.
Tensor tensordot(const Tensor& a, const Tensor& b, const Dims& dims_self, const Dims& dims_other);
/// The Kronecker product.
Tensor kron(const Tensor& self, const Tensor& other);
/// The vector product along `dim`, of size 3; without one, along the first dimension of that size.
Tensor cross(const Tensor& self, const Tensor& other, std::optional<int64_t> dim = {});
/// self [..., n, n] to the power n, by repeated squaring; the inverse's where n is negative.
Tensor matrix_power(const Tensor& self, int64_t n);
/// The product of all matrices, in the order that costs least.
Tensor chain_matmul(const Tensors& matrices);

/// Distances [..., p, r] of the p-norm between the rows of x1 [..., p, m] and x2 [..., r, m]. The
/// gradient between equal rows is 0. compute_mode "use_mm_for_euclid_dist" computes p = 2 as a
/// matrix product; "..._if_necessary" does so for more than 25 rows.
Tensor cdist(const Tensor& x1, const Tensor& x2, double p = 2.0,
             std::string_view compute_mode = "use_mm_for_euclid_dist_if_necessary");
/// The distances between the rows of input [n, m], those above the diagonal: [n (n - 1) / 2].
Tensor pdist(const Tensor& input, double p = 2.0);

}  // namespace tallow
