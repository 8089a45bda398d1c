// cdist and pdist: distances between rows.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "ops/elements.h"
#include "ops/products/products.h"
#include "ops/rows.h"
#include "tallow/autograd.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

struct DistanceOptions {
  double p;
  bool product;  // Euclidean distances by a matrix product
};

constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <class T>
T distance(const T* a, const T* b, int64_t n, double p) {
  T total = 0;
  if (p == 2) {
    for (int64_t i = 0; i < n; ++i) total += (a[i] - b[i]) * (a[i] - b[i]);
    return std::sqrt(total);
  }
  for (int64_t i = 0; i < n; ++i) {
    const T d = std::abs(a[i] - b[i]);
    if (p == 1) {
      total += d;
    } else if (p == kInfinity) {
      total = d > total || d != d ? d : total;
    } else if (p == 0) {
      total += d != T(0);
    } else {
      total += std::pow(d, static_cast<T>(p));
    }
  }
  return p == 0 || p == 1 || p == kInfinity ? total : std::pow(total, static_cast<T>(1 / p));
}

// d distance / d a for one difference.
template <class T>
T slope(T difference, T dist, double p) {
  const T sign = static_cast<T>((difference > 0) - (difference < 0));
  if (p == 1) return sign;
  if (dist == T(0) || p == 0) return T(0);
  if (p == 2) return difference / dist;
  if (p == kInfinity) return std::abs(difference) == dist ? sign : T(0);
  if (difference == T(0) && p < 2) return T(0);
  return sign * std::pow(std::abs(difference) / dist, static_cast<T>(p - 1));
}

// sqrt(|a|^2 + |b|^2 - 2 a b).
Tensor euclidean_by_product(const Tensor& x1, const Tensor& x2) {
  const Tensor a = sum(square(x1), -1, true), b = sum(square(x2), -1, true).transpose(-2, -1);
  return sqrt(maximum(a + b - matmul(x1, x2.transpose(-2, -1)) * 2.0, 0.0));
}

Specs infer(Inputs in, const DistanceOptions&) {
  return {{with_matrix(batch_shape(in[0]), in[0].size(-2), in[1].size(-2)), in[0].dtype()}};
}

// Calls f with every row of a batch's two matrices, in the compute type.
template <class T, class F>
void for_each_row(const Tensor& x1, const Tensor& x2, const F& f) {
  const int64_t rows = x1.size(-2), others = x2.size(-2), n = x1.size(-1);
  const ElementReader<T> left(x1, x1.shape()), right(x2, x2.shape());
  const int64_t batches = batch_shape(x1).numel();
  const int64_t grain = std::max<int64_t>(1, 20000 / std::max<int64_t>(1, others * n));
  std::vector<T> b(static_cast<size_t>(others * n));
  for (int64_t batch = 0; batch < batches; ++batch) {
    const T* y = right.read(batch * others * n, others * n, b.data());
    parallel_for(rows, grain, [&](int64_t begin, int64_t end, int) {
      std::vector<T> a(static_cast<size_t>(n));
      for (int64_t i = begin; i < end; ++i) {
        f(batch * rows + i, left.read((batch * rows + i) * n, n, a.data()), y);
      }
    });
  }
}

template <class T>
void measure(const Tensor& x1, const Tensor& x2, const Tensor& out, double p) {
  const int64_t others = x2.size(-2), n = x1.size(-1);
  for_each_row<T>(x1, x2, [&](int64_t row, const T* a, const T* b) {
    T* to = out.data<T>() + row * others;
    for (int64_t j = 0; j < others; ++j) to[j] = distance(a, b + j * n, n, p);
  });
}

void cpu(Inputs in, Outputs out, const DistanceOptions& o) {
  if (out[0].numel() == 0) return;
  compute_real(out[0], [&](const Tensor& y) {
    const Tensor a = in[0].detach(), b = in[1].detach();
    if (o.product) {
      const Tensor d = euclidean_by_product(a.to(y.dtype()), b.to(y.dtype()));
      std::copy_n(static_cast<const std::byte*>(d.raw()), d.nbytes(),
                  static_cast<std::byte*>(y.raw()));
    } else if (y.dtype() == DType::f64) {
      measure<double>(a, b, y, o.p);
    } else {
      measure<float>(a, b, y, o.p);
    }
  });
}

// inputs: gradient [.., p, r], x1, x2, distances [.., p, r]; output: the gradient of x1.
template <class T>
void pull_back(Inputs in, const Tensor& out, double p) {
  const int64_t others = in[2].size(-2), n = in[1].size(-1);
  const ElementReader<T> grads(in[0], in[0].shape()), distances(in[3], in[3].shape());
  for_each_row<T>(in[1], in[2], [&](int64_t row, const T* a, const T* b) {
    std::vector<T> memory(static_cast<size_t>(2 * others));
    const T* g = grads.read(row * others, others, memory.data());
    const T* d = distances.read(row * others, others, memory.data() + others);
    T* to = out.data<T>() + row * n;
    std::fill(to, to + n, T(0));
    for (int64_t j = 0; j < others; ++j, b += n) {
      for (int64_t i = 0; i < n; ++i) to[i] += g[j] * slope<T>(a[i] - b[i], d[j], p);
    }
  });
}

Tensors backward_composite(Inputs in, const DistanceOptions& o) {
  const Tensor difference = in[1].unsqueeze(-2) - in[2].unsqueeze(-3);
  const Tensor dist = in[3].unsqueeze(-1);
  const Tensor safe = where(eq(dist, 0.0), 1.0, dist);
  Tensor slopes;
  if (o.p == 1) {
    slopes = sign(difference);
  } else if (o.p == 2) {
    slopes = difference / safe;
  } else if (o.p == kInfinity) {
    slopes = sign(difference) * eq(abs(difference), dist).to(difference.dtype());
  } else {
    const Tensor size = abs(difference);
    const Tensor ratio = where(eq(size, 0.0), 1.0, size) / safe;
    slopes = sign(difference) * pow(ratio, o.p - 1);
  }
  return {sum(slopes * in[0].unsqueeze(-1), -2)};
}

constinit Op<DistanceOptions> cdist_backward_op{
    "cdist_backward",
    {.infer =
         [](Inputs in, const DistanceOptions&) {
           return Specs{{in[1].shape(), in[1].dtype()}};
         },
     .cpu =
         [](Inputs in, Outputs out, const DistanceOptions& o) {
           if (out[0].numel() == 0) return;
           compute_real(out[0], [&](const Tensor& y) {
             const Tensor plain[] = {in[0].detach(), in[1].detach(), in[2].detach(),
                                     in[3].detach()};
             if (y.dtype() == DType::f64) return pull_back<double>(plain, y, o.p);
             pull_back<float>(plain, y, o.p);
           });
         },
     .composite = backward_composite}};

Tensors vjp(const Saved<DistanceOptions>& saved, Inputs grads) {
  const Tensor &x1 = saved.inputs[0], &x2 = saved.inputs[1], &dist = saved.outputs[0];
  const DistanceOptions& o = saved.options;
  Tensors result(2);
  if (o.p == 0)
    return {Tensor::zeros(x1.shape(), x1.dtype()), Tensor::zeros(x2.shape(), x2.dtype())};
  if (x1.requires_grad()) result[0] = apply(cdist_backward_op, {grads[0], x1, x2, dist}, o);
  if (x2.requires_grad()) {
    result[1] =
        apply(cdist_backward_op, {grads[0].transpose(-2, -1), x2, x1, dist.transpose(-2, -1)}, o);
  }
  return result;
}

constinit Op<DistanceOptions> cdist_op{
    "cdist", {.infer = infer, .vjp = vjp, .cpu = cpu, .save_outputs = true}};

// From how many rows on a product pays.
bool by_product(double p, std::string_view mode, int64_t rows, int64_t others) {
  const bool always = mode == "use_mm_for_euclid_dist";
  if (!always && mode != "use_mm_for_euclid_dist_if_necessary" &&
      mode != "donot_use_mm_for_euclid_dist") {
    fail("cdist: compute_mode is \"", mode,
         "\"; it is one of use_mm_for_euclid_dist_if_necessary, use_mm_for_euclid_dist, "
         "donot_use_mm_for_euclid_dist");
  }
  const bool necessary = mode != "donot_use_mm_for_euclid_dist" && (rows > 25 || others > 25);
  return p == 2 && (always || necessary);
}

void check_rows(const char* op, const char* name, const Tensor& x, int least) {
  check_not_block(op, x);
  if (!is_real(x.dtype())) fail(op, ": ", name, " is ", x, "; it needs real elements");
  if (x.dim() < least) fail(op, ": ", name, " is ", x, "; it needs ", least, " dimensions or more");
}

}  // namespace

Tensor cdist(const Tensor& x1, const Tensor& x2, double p, std::string_view compute_mode) {
  check_rows("cdist", "x1", x1, 2);
  check_rows("cdist", "x2", x2, 2);
  check_same_dtype("cdist", x1, x2);
  if (!(p >= 0)) fail("cdist: p is ", p, "; it needs 0 or more");
  if (x1.size(-1) != x2.size(-1))
    fail("cdist: rows of ", x1.size(-1), " and of ", x2.size(-1), " elements (x1: ", x1.shape(),
         ", x2: ", x2.shape(), ")");
  const Shape batch = broadcast_shapes(batch_shape(x1), batch_shape(x2), "cdist");
  const Tensor a = x1.expand(with_matrix(batch, x1.size(-2), x1.size(-1)));
  const Tensor b = x2.expand(with_matrix(batch, x2.size(-2), x2.size(-1)));
  return apply(cdist_op, {a, b}, {p, by_product(p, compute_mode, x1.size(-2), x2.size(-2))});
}

Tensor pdist(const Tensor& input, double p) {
  check_rows("pdist", "input", input, 2);
  check_dims("pdist", "input", input, 2);
  if (!(p >= 0)) fail("pdist: p is ", p, "; it needs 0 or more");
  const int64_t n = input.size(0), count = n * (n - 1) / 2;
  const Tensor above = Tensor::empty({count}, DType::i64);
  auto* index = above.data<int64_t>();
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = i + 1; j < n; ++j) *index++ = i * n + j;
  }
  const Tensor square = apply(cdist_op, {input, input}, {p, false});
  return index_select(square.reshape({n * n}), 0, above);
}

}  // namespace tallow
