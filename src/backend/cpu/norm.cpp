// Binds softmax and the normalization layers to the vector kernels: contiguous f32; the rest is
// left to the portable kernels.
#include <algorithm>
#include <cmath>
#include <vector>

#include "backend/cpu/kernels.h"
#include "backend/cpu/reduce.h"
#include "ops/loss/cross_entropy.h"
#include "ops/normalization/norms.h"
#include "ops/reduce/fold.h"
#include "ops/reduce/registry.h"
#include "ops/rows.h"
#include "tallow/parallel.h"

namespace tallow::cpu {

namespace {

constexpr int64_t kUnit = 1 << 14;      // elements of a unit of work
constexpr int64_t kFar = 4 << 20;       // elements from which results do not stay in the caches
constexpr int64_t kMostColumns = 1024;  // that go together: runs of memory, read ahead

const SoftmaxKernels* softmaxes = &isa_portable::softmax_kernels;
const NormKernels* norms = &isa_portable::norm_kernels;

bool is_plain(const Tensor& x) {
  return x.dtype() == DType::f32 && x.is_contiguous() && x.numel() > 0;
}

template <class F>
void over_rows(int64_t rows, int64_t n, const F& f) {
  parallel_for(rows, std::max<int64_t>(1, kUnit / n),
               [&](int64_t begin, int64_t end, int) { f(begin, end); });
}

void run_softmax(const Tensor& x, const Tensor& out, int dim, bool logarithm) {
  const Planes p(x.shape(), dim);
  const float* from = x.data<float>();
  float* to = out.data<float>();
  if (p.inner == 1) {
    const bool far = x.numel() >= kFar && p.n <= (1 << 17);
    return over_rows(p.outer, p.n, [&](int64_t begin, int64_t end) {
      std::vector<float> scratch(static_cast<size_t>(far ? p.n : 0));
      softmaxes->rows(from + begin * p.n, to + begin * p.n, end - begin, p.n, logarithm,
                      far ? scratch.data() : nullptr);
    });
  }
  const bool far = x.numel() >= kFar;
  const int64_t share = p.outer * p.inner / num_threads() / 16 * 16;
  const int64_t width = std::clamp<int64_t>(share, 64, kMostColumns);
  const int64_t tiles = (p.inner + width - 1) / width;
  over_rows(p.outer * tiles, p.n * std::min(width, p.inner), [&](int64_t begin, int64_t end) {
    float scratch[2 * kMostColumns];
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i % tiles * width, at = i / tiles * p.n * p.inner + first;
      softmaxes->columns(from + at, to + at, p.n, p.inner, std::min(width, p.inner - first),
                         logarithm, far, scratch);
    }
  });
}

/// Rows of f16 and bf16, each converted to f32 and back while it is in the cache.
void run_converted(const Tensor& x, const Tensor& out, int64_t n, bool logarithm) {
  const ElementReader<float> reader(x, x.shape());
  over_rows(x.numel() / n, n, [&](int64_t begin, int64_t end) {
    std::vector<float> row(static_cast<size_t>(n));
    for (int64_t i = begin; i < end; ++i) {
      const float* from = reader.read(i * n, n, row.data());
      softmaxes->rows(from, row.data(), 1, n, logarithm, nullptr);
      write_elements(out, i * n, n, row.data());
    }
  });
}

template <bool kLog>
void softmax(Inputs in, Outputs out, const SoftmaxOptions& o) {
  const Tensor& x = in[0];
  if (x.numel() > 0 && x.dtype() != DType::f64 && x.dtype() != DType::f32 &&
      (x.dim() == 0 || o.dim == x.dim() - 1)) {
    return run_converted(x, out[0], x.dim() == 0 ? 1 : x.shape().back(), kLog);
  }
  if (x.dtype() != DType::f32 || x.numel() == 0) {
    return (kLog ? log_softmax_op : softmax_op).fn.cpu(in, out, o);
  }
  run_softmax(in[0].detach().contiguous(), out[0], o.dim, kLog);
}

template <bool kLog>
void softmax_backward(Inputs in, Outputs out, const SoftmaxOptions& o) {
  const Planes p(in[1].shape(), o.dim);
  if (!is_plain(in[0]) || !is_plain(in[1]) || p.inner != 1) {
    return (kLog ? log_softmax_backward_op : softmax_backward_op).fn.cpu(in, out, o);
  }
  const float *g = in[0].data<float>(), *y = in[1].data<float>();
  float* dx = out[0].data<float>();
  over_rows(p.outer, p.n, [&](int64_t begin, int64_t end) {
    const int64_t at = begin * p.n;
    softmaxes->rows_backward(g + at, y + at, dx + at, end - begin, p.n, kLog);
  });
}

/// A weight as contiguous f32, or null.
struct Weights {
  explicit Weights(const Tensor& t) {
    if (t) held = as_f32(t.detach());
  }
  const float* data() const { return held ? held.data<float>() : nullptr; }
  Tensor held;
};

void layer_norm(Inputs in, Outputs out, const LayerNormOptions& o) {
  if (in[0].dtype() != DType::f32 || in[0].numel() == 0) return layer_norm_op.fn.cpu(in, out, o);
  const Tensor x = in[0].detach().contiguous();
  const Weights weight(in[1]), bias(in[2]);
  const int64_t rows = out[1].numel(), n = x.numel() / rows;
  over_rows(rows, n, [&](int64_t begin, int64_t end) {
    norms->layer_norm(x.data<float>() + begin * n, weight.data(), bias.data(),
                      out[0].data<float>() + begin * n, out[1].data<float>() + begin,
                      out[2].data<float>() + begin, end - begin, n, o.eps);
  });
}

/// The sum of `parts` rows [n] in order.
void sum_parts(const std::vector<float>& parts, int64_t count, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) {
    double total = 0;
    for (int64_t p = 0; p < count; ++p) {
      total += static_cast<double>(parts[static_cast<size_t>(p * n + i)]);
    }
    out[i] = static_cast<float>(total);
  }
}

void layer_norm_backward(Inputs in, Outputs out, const LayerNormOptions& o) {
  if (in[1].dtype() != DType::f32 || in[1].numel() == 0) {
    return layer_norm_backward_op.fn.cpu(in, out, o);
  }
  const Tensor g = as_f32(in[0].detach()), x = in[1].detach().contiguous();
  const Weights weight(in[2]);
  const int64_t rows = in[3].numel(), n = x.numel() / rows;
  const int64_t length = std::max<int64_t>((rows + 15) / 16, kUnit / n + 1);
  const int64_t parts = (rows + length - 1) / length;
  std::vector<float> dw(static_cast<size_t>(parts * n)), db(static_cast<size_t>(parts * n));
  parallel_for(parts, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t part = begin; part < end; ++part) {
      const int64_t first = part * length, count = std::min(length, rows - first), at = first * n;
      norms->layer_norm_backward(g.data<float>() + at, x.data<float>() + at, weight.data(),
                                 in[3].data<float>() + first, in[4].data<float>() + first,
                                 out[0].data<float>() + at, &dw[static_cast<size_t>(part * n)],
                                 &db[static_cast<size_t>(part * n)], count, n);
    }
  });
  sum_parts(dw, parts, n, out[1].data<float>());
  sum_parts(db, parts, n, out[2].data<float>());
}

/// The mean of x: what squares are taken about, so that they do not cancel. 0 where it is not
/// finite.
float pivot_of(const float* x, int64_t n) {
  double sum = 0, squares = 0;
  norms->moments(x, n, x[0], &sum, &squares);
  const auto mean = x[0] + static_cast<float>(sum / static_cast<double>(n));
  return std::isfinite(mean) ? mean : 0;
}

/// The mean of n elements, and the sum of the squares about it.
struct Spread {
  double mean, squares;
};
Spread spread_about(const float* x, int64_t n, float pivot, double* lost) {
  const auto count = static_cast<double>(n);
  double sum = 0, squares = 0;
  norms->moments(x, n, pivot, &sum, &squares);
  *lost = sum * sum / count;
  // NaN stays: max gives its first argument where they do not compare.
  return {static_cast<double>(pivot) + sum / count, std::max(squares - *lost, 0.0)};
}
// Once about the mean of the first few, and again where that is so far off that squares cancel.
Spread spread_of(const float* x, int64_t n) {
  double lost = 0;
  const Spread s = spread_about(x, n, pivot_of(x, std::min<int64_t>(n, 256)), &lost);
  if (lost <= s.squares || !std::isfinite(s.mean)) return s;
  return spread_about(x, n, static_cast<float>(s.mean), &lost);
}

/// The mean and biased variance of each channel.
void channel_moments(const float* x, const Planes& p, float* means, float* variances) {
  const auto count = static_cast<double>(p.outer * p.inner);
  over_rows(p.n, p.outer * p.inner, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      const float shift = pivot_of(x + c * p.inner, p.inner);
      double sum = 0, squares = 0;
      for (int64_t i = 0; i < p.outer; ++i) {
        norms->moments(x + (i * p.n + c) * p.inner, p.inner, shift, &sum, &squares);
      }
      means[c] = static_cast<float>(static_cast<double>(shift) + sum / count);
      variances[c] = static_cast<float>(std::max((squares - sum * sum / count) / count, 0.0));
    }
  });
}

enum In { kX, kWeight, kBias, kMean, kVariance };

void batch_norm(Inputs in, Outputs out, const BatchNormOptions& o) {
  const Planes p(in[kX].shape(), 1);
  if (in[kX].dtype() != DType::f32 || in[kX].numel() == 0 || p.inner < 16) {
    return batch_norm_op.fn.cpu(in, out, o);
  }
  const Tensor x = in[kX].detach().contiguous();
  const float* from = x.data<float>();
  float *to = out[0].data<float>(), *means = out[1].data<float>(), *vars = out[2].data<float>();
  if (o.training) {
    channel_moments(from, p, means, vars);
  } else {
    std::copy_n(Weights(in[kMean]).data(), p.n, means);
    std::copy_n(Weights(in[kVariance]).data(), p.n, vars);
  }
  const Weights weight(in[kWeight]), bias(in[kBias]);
  over_rows(p.outer * p.n, p.inner, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t c = i % p.n;
      const double inverse = 1 / std::sqrt(static_cast<double>(vars[c]) + o.eps);
      const double scale =
          weight.data() ? inverse * static_cast<double>(weight.data()[c]) : inverse;
      norms->scale(from + i * p.inner, to + i * p.inner, p.inner, means[c],
                   static_cast<float>(scale), bias.data() ? bias.data()[c] : 0);
    }
  });
}

void group_norm(Inputs in, Outputs out, const GroupNormOptions& o) {
  const Planes p(in[0].shape(), 1);
  if (in[0].dtype() != DType::f32 || in[0].numel() == 0 || p.inner < 16) {
    return group_norm_op.fn.cpu(in, out, o);
  }
  const Tensor x = in[0].detach().contiguous();
  const Weights weight(in[1]), bias(in[2]);
  const int64_t per_group = p.n / o.groups, length = per_group * p.inner;
  const auto count = static_cast<double>(length);
  over_rows(p.outer * o.groups, length, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float* from = x.data<float>() + i * length;
      float* to = out[0].data<float>() + i * length;
      const Spread s = spread_of(from, length);
      const double mean = s.mean, inverse = 1 / std::sqrt(s.squares / count + o.eps);
      out[1].data<float>()[i] = static_cast<float>(mean);
      out[2].data<float>()[i] = static_cast<float>(inverse);
      for (int64_t c = 0; c < per_group; ++c) {
        const int64_t at = i % o.groups * per_group + c;
        const double scale =
            weight.data() ? inverse * static_cast<double>(weight.data()[at]) : inverse;
        norms->scale(from + c * p.inner, to + c * p.inner, p.inner, static_cast<float>(mean),
                     static_cast<float>(scale), bias.data() ? bias.data()[at] : 0);
      }
    }
  });
}

void batch_norm_backward(Inputs in, Outputs out, const BatchNormOptions& o) {
  const Planes p(in[1].shape(), 1);
  if (in[1].dtype() != DType::f32 || in[1].numel() == 0 || p.inner < 16) {
    return batch_norm_backward_op.fn.cpu(in, out, o);
  }
  const Tensor grad = as_f32(in[0].detach()), input = in[1].detach().contiguous();
  const Weights weight(in[2]);
  const float *g = grad.data<float>(), *x = input.data<float>(), *means = in[3].data<float>(),
              *vars = in[4].data<float>();
  float *dx = out[0].data<float>(), *dw = out[1].data<float>(), *db = out[2].data<float>();
  const auto count = static_cast<double>(p.outer * p.inner);
  over_rows(p.n, p.outer * p.inner, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      double first = 0, second = 0;
      for (int64_t i = 0; i < p.outer; ++i) {
        const int64_t at = (i * p.n + c) * p.inner;
        norms->gradient_sums(g + at, x + at, p.inner, means[c], &first, &second);
      }
      const double inverse = 1 / std::sqrt(static_cast<double>(vars[c]) + o.eps);
      dw[c] = static_cast<float>(second * inverse);
      db[c] = static_cast<float>(first);
      const double a = weight.data() ? inverse * static_cast<double>(weight.data()[c]) : inverse;
      const double b = o.training ? -a * inverse * inverse * second / count : 0;
      const double shift = o.training ? -a * first / count - b * static_cast<double>(means[c]) : 0;
      for (int64_t i = 0; i < p.outer; ++i) {
        const int64_t at = (i * p.n + c) * p.inner;
        norms->combine(g + at, x + at, dx + at, p.inner, static_cast<float>(a),
                       static_cast<float>(b), static_cast<float>(shift));
      }
    }
  });
}

/// Whether the groups of x are dense rows.
bool dense_rows(const Tensor& x, uint32_t dims, Groups& g) {
  if (x.dtype() != DType::f32 || x.numel() == 0) return false;
  g = grouped(x, dims, false);
  return g.x.is_contiguous() && g.inner == 1;
}

/// Rows about their means, while they are in the cache.
template <bool kRoot>
void variance(Inputs in, Outputs out, const ReduceOptions& o) {
  Groups g;
  if (!dense_rows(in[0], o.dims, g) || g.count < 2 || g.count > (1 << 18)) {
    return (kRoot ? std_op : var_op).fn.cpu(in, out, o);
  }
  const auto count = static_cast<double>(g.count), degrees = std::max(0.0, count - o.p);
  const float* x = g.x.data<float>();
  over_rows(g.outer, g.count, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float* row = x + i * g.count;
      const Spread s = spread_of(row, g.count);
      const double var = s.squares / degrees;
      out[0].data<float>()[i] = static_cast<float>(kRoot ? std::sqrt(var) : var);
      out[1].data<float>()[i] = static_cast<float>(s.mean);
    }
  });
}

void norm(Inputs in, Outputs out, const ReduceOptions& o) {
  Groups g;
  if (o.p != 2 || !dense_rows(in[0], o.dims, g) || (g.outer < 8 && g.count > (1 << 18))) {
    return norm_op.fn.cpu(in, out, o);
  }
  const float* x = g.x.data<float>();
  over_rows(g.outer, g.count, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      double sum = 0, squares = 0;
      norms->moments(x + i * g.count, g.count, 0, &sum, &squares);
      out[0].data<float>()[i] = static_cast<float>(std::sqrt(squares));
    }
  });
}

void logsumexp(Inputs in, Outputs out, const ReduceOptions& o) {
  Groups g;
  if (!dense_rows(in[0], o.dims, g)) return logsumexp_op.fn.cpu(in, out, o);
  const float* x = g.x.data<float>();
  over_rows(g.outer, g.count, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      out[0].data<float>()[i] = softmaxes->log_sum_exp(x + i * g.count, g.count);
    }
  });
}

}  // namespace

void bind_norm() {
  softmaxes = &TALLOW_BY_ISA(softmax_kernels);
  norms = &TALLOW_BY_ISA(norm_kernels);
  softmax_op.bind(DeviceKind::cpu, softmax<false>);
  log_softmax_op.bind(DeviceKind::cpu, softmax<true>);
  softmax_backward_op.bind(DeviceKind::cpu, softmax_backward<false>);
  log_softmax_backward_op.bind(DeviceKind::cpu, softmax_backward<true>);
  layer_norm_op.bind(DeviceKind::cpu, layer_norm);
  layer_norm_backward_op.bind(DeviceKind::cpu, layer_norm_backward);
  batch_norm_op.bind(DeviceKind::cpu, batch_norm);
  batch_norm_backward_op.bind(DeviceKind::cpu, batch_norm_backward);
  group_norm_op.bind(DeviceKind::cpu, group_norm);
  var_op.bind(DeviceKind::cpu, variance<false>);
  std_op.bind(DeviceKind::cpu, variance<true>);
  norm_op.bind(DeviceKind::cpu, norm);
  logsumexp_op.bind(DeviceKind::cpu, logsumexp);
  logit_loops = {softmaxes->log_sum_exps, softmaxes->exp_scaled};
}

}  // namespace tallow::cpu
