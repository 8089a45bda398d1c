// Norms of vectors and matrices.
#include <cmath>
#include <limits>

#include "ops/linalg/matrices.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

struct NormOptions {
  double p;
  uint32_t dims;  // a bit per dimension
  bool keepdim;
};

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Shape reduced(const Shape& shape, uint32_t dims, bool keepdim) {
  Shape out;
  for (int i = 0; i < shape.size(); ++i) {
    if (!(dims >> i & 1)) {
      out.push_back(shape[i]);
    } else if (keepdim) {
      out.push_back(1);
    }
  }
  return out;
}

// x with the reduced dimensions last and merged, [..., n].
Tensor grouped(const Tensor& x, uint32_t dims) {
  Shape order;
  for (int i = 0; i < x.dim(); ++i) {
    if (!(dims >> i & 1)) order.push_back(i);
  }
  for (int i = 0; i < x.dim(); ++i) {
    if (dims >> i & 1) order.push_back(i);
  }
  return x.detach().permute(Dims(order));
}

// The norm of a stream of values, given in chunks.
class Accumulator {
 public:
  explicit Accumulator(double p) : p_(p), total_(p == -kInfinity ? kInfinity : 0) {}
  template <class T>
  void add(const T* values, int64_t n) {
    double total = total_;
    if (p_ == 2) {
      double part = 0;
      for (int64_t i = 0; i < n; ++i) part += std::norm(values[i]);
      total += part;
    } else if (p_ == 1) {
      for (int64_t i = 0; i < n; ++i) total += std::abs(values[i]);
    } else if (p_ == 0) {
      for (int64_t i = 0; i < n; ++i) total += values[i] != T(0);
    } else if (std::isinf(p_)) {
      for (int64_t i = 0; i < n; ++i) {
        const double size = std::abs(values[i]);
        if (size != size || total != total) {
          total = std::numeric_limits<double>::quiet_NaN();
        } else {
          total = p_ > 0 ? std::max(total, size) : std::min(total, size);
        }
      }
    } else {
      for (int64_t i = 0; i < n; ++i)
        total += std::pow(static_cast<double>(std::abs(values[i])), p_);
    }
    total_ = total;
  }
  double result() const {
    if (p_ == 2) return std::sqrt(total_);
    if (p_ == 0 || p_ == 1 || std::isinf(p_)) return total_;
    return std::pow(total_, 1 / p_);
  }

 private:
  double p_, total_;
};

template <class T>
void reduce(const Tensor& x, const Tensor& out, const NormOptions& o) {
  const Tensor groups = grouped(x, o.dims);
  const int64_t count = out.numel() == 0 ? 0 : x.numel() / out.numel();
  const ElementReader<T> reader(groups, groups.shape());
  const int64_t grain = std::max<int64_t>(1, 16 * kChunk / std::max<int64_t>(count, 1));
  parallel_for(out.numel(), grain, [&](int64_t begin, int64_t end, int) {
    T chunk[kChunk];
    for (int64_t g = begin; g < end; ++g) {
      Accumulator total(o.p);
      for (int64_t i = 0; i < count; i += kChunk) {
        const int64_t n = std::min(kChunk, count - i);
        total.add(reader.read(g * count + i, n, chunk), n);
      }
      const double result = total.result();
      write_elements<double>(out, g, 1, &result);
    }
  });
}

Specs infer(Inputs in, const NormOptions& o) {
  return {{reduced(in[0].shape(), o.dims, o.keepdim), to_real(in[0].dtype())}};
}

Tensor spread(const Tensor& y, const Tensor& x, uint32_t dims) {
  return y.reshape(reduced(x.shape(), dims, true));
}

Tensors vjp(const Saved<NormOptions>& saved, Inputs grads) {
  const Tensor& x = saved.inputs[0];
  const auto [p, dims, keepdim] = saved.options;
  const Tensor g = spread(grads[0], x, dims), norm = spread(saved.outputs[0], x, dims);
  if (p == 0) return {Tensor::zeros(x.shape(), x.dtype())};
  if (p == 1) return {sgn(x) * g};
  const Tensor zero = eq(norm, 0.0);
  if (p == 2) return {where(zero, 0.0, x / norm) * g};
  const Tensor size = abs(x);
  if (std::isinf(p)) {
    Shape all;
    for (int i = 0; i < x.dim(); ++i) {
      if (dims >> i & 1) all.push_back(i);
    }
    // Ties share the gradient equally.
    const Tensor nans = logical_and(isnan(size), isnan(norm));
    const Tensor chosen = logical_or(eq(size, norm), nans).to(norm.dtype());
    const Tensor ties = all.empty() ? chosen : sum(chosen, Dims(all), true);
    return {sgn(x) * (chosen / ties * g)};
  }
  const Tensor none = eq(size, 0.0);
  const Tensor ratio = where(none, 1.0, size) / where(zero, 1.0, norm);
  const Tensor slope = where(none, 0.0, pow(ratio, p - 1));
  return {sgn(x) * (where(zero, 0.0, slope) * g)};
}

constinit Op<NormOptions> norm_op{"linalg.vector_norm",
                                  {.infer = infer,
                                   .vjp = vjp,
                                   .cpu =
                                       [](Inputs in, Outputs out, const NormOptions& o) {
                                         with_any_compute_type(
                                             compute_type(in[0].dtype()),
                                             [&]<class T>(T) { reduce<T>(in[0], out[0], o); });
                                       },
                                   .save_outputs = true}};

Tensor converted(const char* op, const Tensor& x, std::optional<DType> dtype) {
  check_not_block(op, x);
  const DType type = dtype.value_or(x.dtype());
  if (!is_differentiable(x.dtype()))
    fail(op, ": ", x, " is of integers, which have no norm of their own dtype; call .to(f32)");
  if (!is_differentiable(type) || is_complex(type) != is_complex(x.dtype()))
    fail(op, ": dtype is ", type, "; for ", x.dtype(),
         " it needs to be as real or complex as that");
  return x.dtype() == type ? x : x.to(type);
}

uint32_t norm_dims(const Tensor& x, const Dims& dim, const char* op) {
  return dim.given() ? dim_bits(dim, x.dim(), op) : (1u << x.dim()) - 1;
}

// The two dimensions of a matrix norm, rows first.
std::pair<int, int> matrix_dims(const Tensor& A, const Dims& dim) {
  if (dim.size() != 2)
    fail("linalg.matrix_norm: dim names ", dim.size(), " dimensions; it needs 2");
  const int rows = normalize_dim(dim[0], A.dim(), "linalg.matrix_norm");
  const int columns = normalize_dim(dim[1], A.dim(), "linalg.matrix_norm");
  if (rows == columns) fail("linalg.matrix_norm: dim names dimension ", rows, " twice");
  return {rows, columns};
}

// A value [...] of matrices in the place of their two dimensions.
Tensor restore(Tensor value, const Tensor& A, std::pair<int, int> dims, bool keepdim) {
  if (!keepdim) return value;
  const int first = std::min(dims.first, dims.second), second = std::max(dims.first, dims.second);
  (void)A;
  return value.unsqueeze(first).unsqueeze(second);
}

Tensor matrices_last(const Tensor& A, std::pair<int, int> dims) {
  Shape order;
  for (int i = 0; i < A.dim(); ++i) {
    if (i != dims.first && i != dims.second) order.push_back(i);
  }
  order.push_back(dims.first);
  order.push_back(dims.second);
  return A.permute(Dims(order));
}

}  // namespace

namespace linalg {

Tensor vector_norm(const Tensor& x, const Scalar& ord, const Dims& dim, bool keepdim,
                   std::optional<DType> dtype) {
  const Tensor values = converted("linalg.vector_norm", x, dtype);
  if (ord.is_complex()) fail("linalg.vector_norm: ord is ", ord, "; it needs to be real");
  const double p = ord.real();
  const uint32_t dims = norm_dims(values, dim, "linalg.vector_norm");
  if (p < 0 || p == kInfinity) {
    for (int i = 0; i < x.dim(); ++i) {
      if ((dims >> i & 1) && x.shape()[i] == 0)
        fail("linalg.vector_norm: ", x, " has no elements along dimension ", i,
             ", so no norm of order ", p);
    }
  }
  return apply(norm_op, {values}, {p, dims, keepdim});
}

Tensor matrix_norm(const Tensor& A, std::string_view ord, const Dims& dim, bool keepdim,
                   std::optional<DType> dtype) {
  const Tensor values = converted("linalg.matrix_norm", A, dtype);
  if (A.dim() < 2) fail("linalg.matrix_norm: ", A, " is no matrix; it needs 2 dimensions or more");
  const auto dims = matrix_dims(A, dim);
  if (ord == "fro") return vector_norm(values, 2, {dims.first, dims.second}, keepdim);
  if (ord != "nuc") fail("linalg.matrix_norm: ord is \"", ord, "\"; it is fro, nuc or a number");
  return restore(sum(svdvals(matrices_last(values, dims)), -1), A, dims, keepdim);
}

Tensor matrix_norm(const Tensor& A, const Scalar& ord, const Dims& dim, bool keepdim,
                   std::optional<DType> dtype) {
  const Tensor values = converted("linalg.matrix_norm", A, dtype);
  if (A.dim() < 2) fail("linalg.matrix_norm: ", A, " is no matrix; it needs 2 dimensions or more");
  const auto dims = matrix_dims(A, dim);
  const double p = ord.real(), size = std::abs(p);
  if (size != 1 && size != 2 && size != kInfinity)
    fail("linalg.matrix_norm: ord is ", p, "; it is 1, -1, 2, -2, inf, -inf, fro or nuc");
  const Tensor matrices = matrices_last(values, dims);
  Tensor sums;
  if (size == 2) {
    sums = svdvals(matrices);
  } else {
    sums = sum(abs(matrices), size == 1 ? -2 : -1);
  }
  const bool none = sums.size(-1) == 0 && p > 0;  // the norm of no matrix is 0
  return restore(none ? sum(sums, -1) : p > 0 ? amax(sums, -1) : amin(sums, -1), A, dims, keepdim);
}

Tensor norm(const Tensor& A, const std::optional<Scalar>& ord, const Dims& dim, bool keepdim,
            std::optional<DType> dtype) {
  if (dim.size() > 2)
    fail("linalg.norm: dim names ", dim.size(), " dimensions; it needs 1 or 2, or none");
  if (!ord) return vector_norm(A, 2, dim, keepdim, dtype);
  if (!dim.given() && A.dim() != 1 && A.dim() != 2)
    fail("linalg.norm: ", A, " needs 1 or 2 dimensions where ord is given and dim is not");
  const bool matrix = dim.given() ? dim.size() == 2 : A.dim() == 2;
  if (!matrix) return vector_norm(A, *ord, dim, keepdim, dtype);
  return matrix_norm(A, *ord, dim.given() ? dim : Dims{-2, -1}, keepdim, dtype);
}

Tensor norm(const Tensor& A, std::string_view ord, const Dims& dim, bool keepdim,
            std::optional<DType> dtype) {
  if (!dim.given() && A.dim() != 2)
    fail("linalg.norm: ", A, " is no matrix, as ord \"", ord, "\" needs");
  return matrix_norm(A, ord, dim.given() ? dim : Dims{-2, -1}, keepdim, dtype);
}

Tensor cond(const Tensor& A, std::string_view p) {
  check_square("linalg.cond", A);
  if (A.numel() == 0) return Tensor::zeros(batch_shape(A), to_real(A.dtype()));
  const Tensor inverse = inv_ex(A).inverse;
  return matrix_norm(A, p) * matrix_norm(inverse, p);
}

Tensor cond(const Tensor& A, const std::optional<Scalar>& p) {
  check_matrices("linalg.cond", A);
  const double order = p ? p->real() : 2;
  if (A.numel() == 0) return Tensor::zeros(batch_shape(A), to_real(A.dtype()));
  if (std::abs(order) == 2) {
    const Tensor s = svdvals(A);
    const Tensor first = s.select(-1, 0), last = s.select(-1, -1);
    return order > 0 ? first / last : last / first;
  }
  check_square("linalg.cond", A);
  return matrix_norm(A, order) * matrix_norm(inv_ex(A).inverse, order);
}

}  // namespace linalg
}  // namespace tallow

// torch.norm's named orders stand here, away from the plain ones, so that a program without linear
// algebra does not link LAPACK.
tallow::Tensor tallow::norm(const Tensor& self, std::string_view p, const Dims& dim, bool keepdim,
                            std::optional<DType> dtype) {
  if (p == "fro" && dim.size() > 2) {
    fail("norm: dim names ", dim.size(), " dimensions; \"fro\" is a norm of 2, or 1");
  }
  if (p == "fro") return norm(self, 2.0, dim, keepdim, dtype);
  if (p != "nuc") fail("norm: p is \"", p, "\"; it is a number, \"fro\" or \"nuc\"");
  return linalg::matrix_norm(self, p, dim.given() ? dim : Dims{-2, -1}, keepdim, dtype);
}
