// Average pooling, sliding and adaptive, and the p-norm of windows.
#include <cmath>

#include "ops/elements.h"
#include "ops/pooling/kernels.h"
#include "tallow/ops.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

using namespace pooling;

struct Tables {
  std::vector<Window> z, y, x;
  int64_t divisor;
  Tables(const Options& o, const Extent& from, const Extent& to)
      : z(windows(o, 0, from[0], to[0])),
        y(windows(o, 1, from[1], to[1])),
        x(windows(o, 2, from[2], to[2])),
        divisor(o.divisor) {}
  double weight(const Window& a, const Window& b, const Window& c) const {
    return 1.0 / static_cast<double>(count(a, b, c));
  }
  int64_t count(const Window& a, const Window& b, const Window& c) const {
    return divisor ? divisor : a.count * b.count * c.count;
  }
};

template <class T>
void average_plane(const T* x, const Extent& size, const Tables& w, T* out) {
  using Sum = std::conditional_t<std::is_same_v<T, float>, float, T>;
  for (const Window& wz : w.z) {
    for (const Window& wy : w.y) {
      for (const Window& wx : w.x) {
        Sum total = 0;
        for (int64_t z = wz.start; z < wz.end; ++z) {
          for (int64_t y = wy.start; y < wy.end; ++y) {
            const T* row = x + (z * size[1] + y) * size[2];
            for (int64_t i = wx.start; i < wx.end; ++i) total += row[i];
          }
        }
        *out++ = static_cast<T>(total / static_cast<Sum>(w.count(wz, wy, wx)));
      }
    }
  }
}

// The mean of everything: four sums, since one would wait for itself.
float mean_of(const float* x, int64_t n) {
  float total[16] = {};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    for (int j = 0; j < 16; ++j) total[j] += x[i + j];
  }
  for (; i < n; ++i) total[0] += x[i];
  for (int j = 1; j < 16; ++j) total[0] += total[j];
  return total[0] / static_cast<float>(n);
}

void scale_plane(float* out, const Tables& w) {
  for (const Window& wy : w.y) {
    for (const Window& wx : w.x) {
      *out = *out / static_cast<float>(w.count(w.z[0], wy, wx));
      ++out;
    }
  }
}

// Each output's share, added to the elements of its window.
template <class T>
void spread_plane(const T* g, const Extent& size, const Tables& w, T* out) {
  for (const Window& wz : w.z) {
    for (const Window& wy : w.y) {
      for (const Window& wx : w.x) {
        const T share = static_cast<T>(*g++ / static_cast<T>(w.count(wz, wy, wx)));
        for (int64_t z = wz.start; z < wz.end; ++z) {
          for (int64_t y = wy.start; y < wy.end; ++y) {
            T* row = out + (z * size[1] + y) * size[2];
            for (int64_t i = wx.start; i < wx.end; ++i) row[i] += share;
          }
        }
      }
    }
  }
}

void average_cpu(Inputs in, Outputs out, const Options& o) {
  const Tensor& x = in[0];
  const Extent from = extent(x.shape(), o.dims), to = extent(out[0].shape(), o.dims);
  const int64_t planes = plane_count(x.shape(), o.dims), n = volume(from), m = volume(to);
  if (planes * m == 0) return;
  const Tables w(o, from, to);
  const bool whole = o.adaptive && m == 1, sliding = !o.adaptive && o.dims <= 2;
  const PlanePool pool = plane_pool(o, from, to);
  with_compute_type(compute_type(x.dtype()), [&]<class T>(T) {
    const ElementReader<T> reader(x, x.shape());
    parallel_for(planes, std::max<int64_t>(1, 16384 / n), [&](int64_t begin, int64_t end, int) {
      std::vector<T> plane(static_cast<size_t>(n)), values(static_cast<size_t>(m));
      std::vector<float> rows(sliding ? static_cast<size_t>(pool.scratch()) : 0);
      for (int64_t p = begin; p < end; ++p) {
        const T* elements = reader.read(p * n, n, plane.data());
        T* target = element_target(out[0], p * m, values.data());
        if constexpr (std::is_same_v<T, float>) {
          if (whole) *target = mean_of(elements, n);
          if (sliding) {
            kernels.sum_plane(elements, target, rows.data(), pool);
            scale_plane(target, w);
          }
        }
        if (!std::is_same_v<T, float> || !(whole || sliding)) {
          average_plane(elements, from, w, target);
        }
        write_elements(out[0], p * m, m, target);
      }
    });
  });
}

void spread_cpu(Inputs in, Outputs out, const Options& o) {
  const Extent from = extent(out[0].shape(), o.dims), to = extent(in[0].shape(), o.dims);
  const int64_t planes = plane_count(in[0].shape(), o.dims), n = volume(from), m = volume(to);
  if (planes * n == 0) return;
  const Tables w(o, from, to);
  with_compute_type(compute_type(in[0].dtype()), [&]<class T>(T) {
    const ElementReader<T> reader(in[0], in[0].shape());
    parallel_for(planes, std::max<int64_t>(1, 16384 / n), [&](int64_t begin, int64_t end, int) {
      std::vector<T> grads(static_cast<size_t>(m)), plane(static_cast<size_t>(n));
      for (int64_t p = begin; p < end; ++p) {
        T* target = element_target(out[0], p * n, plane.data());
        std::fill_n(target, n, T(0));
        spread_plane(reader.read(p * m, m, grads.data()), from, w, target);
        write_elements(out[0], p * n, n, target);
      }
    });
  });
}

// Options of the call, and beside them the size of the input, which the gradient cannot know.
struct SpreadOptions {
  Options pool;
  Extent input;
};

extern Op<SpreadOptions> spread_op;

constinit Op<Options> avg_pool_op{
    "avg_pool",
    {.infer =
         [](Inputs in, const Options& o) {
           const Extent to = output_extent("avg_pool", extent(in[0].shape(), o.dims), o);
           return Specs{{with_extent(in[0].shape(), to, o.dims), in[0].dtype()}};
         },
     .vjp =
         [](const Saved<Options>& saved, Inputs grads) {
           const Extent input = extent(saved.inputs[0].shape(), saved.options.dims);
           return Tensors{apply(spread_op, {grads[0]}, {saved.options, input})};
         },
     .cpu = average_cpu,
     .shapes_only = true}};

constinit Op<SpreadOptions> spread_op{
    "avg_pool_spread",
    {.infer =
         [](Inputs in, const SpreadOptions& o) {
           return Specs{{with_extent(in[0].shape(), o.input, o.pool.dims), in[0].dtype()}};
         },
     .vjp =
         [](const Saved<SpreadOptions>& saved, Inputs grads) {
           return Tensors{apply(avg_pool_op, {grads[0]}, saved.options.pool)};
         },
     .cpu = [](Inputs in, Outputs out, const SpreadOptions& o) { spread_cpu(in, out, o.pool); },
     .shapes_only = true}};

Tensor average(const char* op, int dims, const Tensor& x, const Dims& kernel, const Dims& stride,
               const Dims& padding, bool ceil_mode, bool include_pad,
               std::optional<int64_t> divisor) {
  check_not_block(op, x);
  check_not_complex(op, x);
  if (x.dtype() == DType::boolean) fail(op, ": input is ", x, "; call .to(f32) first");
  check_input(op, x, dims);
  if (divisor && *divisor == 0) fail(op, ": divisor_override is 0");
  Options o = sliding(op, dims, kernel, stride, padding, 1, ceil_mode);
  for (int d = 3 - dims; d < 3; ++d) {
    if (o.padding[d] > o.kernel[d] / 2) {
      fail(op, ": padding ", o.padding[d], " is more than half of the window's ", o.kernel[d]);
    }
  }
  o.include_pad = include_pad;
  o.divisor = divisor.value_or(0);
  return apply(avg_pool_op, {x}, o);
}

Tensor adaptive_average(const char* op, int dims, const Tensor& x, const Dims& output_size) {
  if (!is_real(x.dtype())) fail(op, ": input is ", x, "; call .to(f32) first");
  check_input(op, x, dims);
  return apply(avg_pool_op, {x}, adaptive(op, dims, output_size));
}

Tensor norm_pool(const char* op, int dims, const Tensor& x, double p, const Dims& kernel,
                 const Dims& stride, bool ceil_mode) {
  if (std::isinf(p)) {
    auto top = [&](const Tensor& t) {
      return dims == 1   ? max_pool1d(t, kernel, stride, 0, 1, ceil_mode)
             : dims == 2 ? max_pool2d(t, kernel, stride, 0, 1, ceil_mode)
                         : max_pool3d(t, kernel, stride, 0, 1, ceil_mode);
    };
    return p > 0 ? top(abs(x)) : -top(-abs(x));
  }
  int64_t sizes[3] = {1, 1, 1};
  read_sizes(op, "kernel_size", kernel, dims, 1, sizes);
  const double count = static_cast<double>(sizes[0] * sizes[1] * sizes[2]);
  const Tensor mean = average(op, dims, pow(x, p), kernel, stride, 0, ceil_mode, true, {});
  return pow(sign(mean) * relu(abs(mean)) * count, 1.0 / p);
}

}  // namespace

Tensor avg_pool1d(const Tensor& x, const Dims& kernel_size, const Dims& stride, const Dims& padding,
                  bool ceil_mode, bool count_include_pad) {
  return average("avg_pool1d", 1, x, kernel_size, stride, padding, ceil_mode, count_include_pad,
                 {});
}
Tensor avg_pool2d(const Tensor& x, const Dims& kernel_size, const Dims& stride, const Dims& padding,
                  bool ceil_mode, bool count_include_pad, std::optional<int64_t> divisor_override) {
  return average("avg_pool2d", 2, x, kernel_size, stride, padding, ceil_mode, count_include_pad,
                 divisor_override);
}
Tensor avg_pool3d(const Tensor& x, const Dims& kernel_size, const Dims& stride, const Dims& padding,
                  bool ceil_mode, bool count_include_pad, std::optional<int64_t> divisor_override) {
  return average("avg_pool3d", 3, x, kernel_size, stride, padding, ceil_mode, count_include_pad,
                 divisor_override);
}

Tensor adaptive_avg_pool1d(const Tensor& x, const Dims& output_size) {
  return adaptive_average("adaptive_avg_pool1d", 1, x, output_size);
}
Tensor adaptive_avg_pool2d(const Tensor& x, const Dims& output_size) {
  return adaptive_average("adaptive_avg_pool2d", 2, x, output_size);
}
Tensor adaptive_avg_pool3d(const Tensor& x, const Dims& output_size) {
  return adaptive_average("adaptive_avg_pool3d", 3, x, output_size);
}

Tensor lp_pool1d(const Tensor& x, double norm_type, const Dims& kernel_size, const Dims& stride,
                 bool ceil_mode) {
  return norm_pool("lp_pool1d", 1, x, norm_type, kernel_size, stride, ceil_mode);
}
Tensor lp_pool2d(const Tensor& x, double norm_type, const Dims& kernel_size, const Dims& stride,
                 bool ceil_mode) {
  return norm_pool("lp_pool2d", 2, x, norm_type, kernel_size, stride, ceil_mode);
}
Tensor lp_pool3d(const Tensor& x, double norm_type, const Dims& kernel_size, const Dims& stride,
                 bool ceil_mode) {
  return norm_pool("lp_pool3d", 3, x, norm_type, kernel_size, stride, ceil_mode);
}

}  // namespace tallow
