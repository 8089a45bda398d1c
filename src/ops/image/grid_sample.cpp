// grid_sample: the kernels and the gradient.
#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/elements.h"
#include "ops/image/grid.h"
#include "tallow/autograd.h"
#include "tallow/ops.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

using namespace image;

constexpr int kMaxTaps = 16;

/// What one place takes from the input: elements of a plane (-1: nothing), their weights, and the
/// weights' derivatives by the grid's coordinates.
template <class T>
struct Taps {
  int64_t at[kMaxTaps];
  T weight[kMaxTaps], by[3][kMaxTaps];
};

// A coordinate and its derivative by the grid's.
template <class T>
struct Coordinate {
  T value, slope;
};

template <class T>
Coordinate<T> unnormalized(T g, int64_t size, bool align_corners) {
  const T n = static_cast<T>(size);
  if (align_corners) return {(g + 1) / 2 * (n - 1), (n - 1) / 2};
  return {((g + 1) * n - 1) / 2, n / 2};
}

template <class T>
Coordinate<T> clipped(Coordinate<T> c, int64_t size) {
  const T last = static_cast<T>(size - 1);
  if (!(c.value > 0)) return {0, 0};
  if (c.value >= last) return {last, 0};
  return c;
}

template <class T>
Coordinate<T> reflected(Coordinate<T> c, int64_t twice_low, int64_t twice_high) {
  if (twice_low == twice_high) return {0, 0};
  const T low = static_cast<T>(twice_low) / 2;
  const T span = static_cast<T>(twice_high - twice_low) / 2;
  T value = c.value - low, slope = c.slope;
  if (value < 0) value = -value, slope = -slope;
  const T extra = std::fmod(value, span), flips = std::floor(value / span);
  if (std::fmod(flips, T(2)) == 0) return {extra + low, slope};
  return {span - extra + low, -slope};
}

template <class T>
Coordinate<T> padded(Coordinate<T> c, int64_t size, const GridOptions& o) {
  if (o.padding == Outside::border) return clipped(c, size);
  if (o.padding == Outside::reflection) {
    c = o.align_corners ? reflected(c, 0, 2 * (size - 1)) : reflected(c, -1, 2 * size - 1);
    return clipped(c, size);
  }
  return c;
}

// Without undefined behaviour for what no integer holds: -1 is outside.
template <class T>
int64_t to_index(T v) {
  return v > T(-1e15) && v < T(1e15) ? static_cast<int64_t>(v) : -1;
}

// Along one dimension: up to four places with weights and their derivatives.
template <class T>
struct Line {
  int count;
  int64_t at[4];
  T weight[4], slope[4];
};

template <class T>
void cubic_weights(T t, T* w, T* slope) {
  constexpr T a = T(-0.75);
  auto near = [](T x) { return ((a + 2) * x - (a + 3)) * x * x + 1; };
  auto far = [](T x) { return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a; };
  auto near_slope = [](T x) { return (3 * (a + 2) * x - 2 * (a + 3)) * x; };
  auto far_slope = [](T x) { return (3 * a * x - 10 * a) * x + 8 * a; };
  w[0] = far(t + 1), w[1] = near(t), w[2] = near(1 - t), w[3] = far(2 - t);
  slope[0] = far_slope(t + 1), slope[1] = near_slope(t);
  slope[2] = -near_slope(1 - t), slope[3] = -far_slope(2 - t);
}

template <class T>
Line<T> line_of(T g, int64_t size, const GridOptions& o) {
  Line<T> line{};
  Coordinate<T> c = unnormalized(g, size, o.align_corners);
  if (o.interpolation == Interpolation::cubic) {
    const T floor = std::floor(c.value);
    line.count = 4;
    cubic_weights(c.value - floor, line.weight, line.slope);
    for (int j = 0; j < 4; ++j) {
      line.at[j] = to_index(padded(Coordinate<T>{floor + static_cast<T>(j - 1), 0}, size, o).value);
      line.slope[j] *= c.slope;
    }
  } else {
    c = padded(c, size, o);
    if (o.interpolation == Interpolation::nearest) {
      line.count = 1;
      line.at[0] = to_index(std::nearbyint(c.value));
      line.weight[0] = 1;
    } else {
      const T floor = std::floor(c.value), fraction = c.value - floor;
      line.count = 2;
      line.at[0] = to_index(floor);
      line.at[1] = to_index(floor + 1);
      line.weight[0] = 1 - fraction;
      line.weight[1] = fraction;
      line.slope[0] = -c.slope;
      line.slope[1] = c.slope;
    }
  }
  for (int j = 0; j < line.count; ++j) {
    if (line.at[j] >= size || line.at[j] < 0) line.at[j] = -1;
  }
  return line;
}

// sizes: depth (1 for images), height, width.
template <class T>
int taps_of(const T* g, const int64_t* sizes, const GridOptions& o, Taps<T>& taps) {
  Line<T> x = line_of(g[0], sizes[2], o), y = line_of(g[1], sizes[1], o);
  Line<T> z{1, {0}, {1}, {0}};
  if (o.dims == 3) z = line_of(g[2], sizes[0], o);
  int n = 0;
  for (int k = 0; k < z.count; ++k) {
    for (int j = 0; j < y.count; ++j) {
      for (int i = 0; i < x.count; ++i, ++n) {
        const bool inside = x.at[i] >= 0 && y.at[j] >= 0 && z.at[k] >= 0;
        taps.at[n] = inside ? (z.at[k] * sizes[1] + y.at[j]) * sizes[2] + x.at[i] : -1;
        taps.weight[n] = x.weight[i] * y.weight[j] * z.weight[k];
        taps.by[0][n] = x.slope[i] * y.weight[j] * z.weight[k];
        taps.by[1][n] = x.weight[i] * y.slope[j] * z.weight[k];
        taps.by[2][n] = x.weight[i] * y.weight[j] * z.slope[k];
      }
    }
  }
  return n;
}

struct Sizes {
  int64_t batch, channels, plane, places, input[3] = {1, 1, 1};
  Sizes(const Tensor& x, const Tensor& grid, const GridOptions& o)
      : batch(x.shape()[0]), channels(x.shape()[1]), plane(1), places(1) {
    for (int i = 0; i < o.dims; ++i) {
      input[3 - o.dims + i] = x.shape()[i + 2];
      plane *= x.shape()[i + 2];
      places *= grid.shape()[i + 1];
    }
  }
};

template <class T>
void sample(const Tensor& x, const Tensor& grid, const Tensor& out, const GridOptions& o) {
  const Sizes s(x, grid, o);
  constexpr int64_t block = 64;
  const int64_t blocks = (s.places + block - 1) / block;
  const T *from = x.data<T>(), *places = grid.data<T>();
  parallel_for(s.batch * blocks, 4, [&](int64_t begin, int64_t end, int) {
    std::vector<Taps<T>> taps(block);
    for (int64_t b = begin; b < end; ++b) {
      const int64_t n = b / blocks, first = b % blocks * block;
      const int64_t count = std::min(block, s.places - first);
      int many = 0;
      for (int64_t i = 0; i < count; ++i) {
        many = taps_of(places + (n * s.places + first + i) * o.dims, s.input, o, taps[i]);
      }
      for (int64_t c = 0; c < s.channels; ++c) {
        const T* plane = from + (n * s.channels + c) * s.plane;
        T* to = out.data<T>() + (n * s.channels + c) * s.places + first;
        for (int64_t i = 0; i < count; ++i) {
          T total = 0;
          for (int j = 0; j < many; ++j) {
            if (taps[i].at[j] >= 0) total += taps[i].weight[j] * plane[taps[i].at[j]];
          }
          to[i] = total;
        }
      }
    }
  });
}

template <class T>
void spread_to_input(const Tensor& g, const Tensor& grid, const Tensor& out, const GridOptions& o) {
  const Sizes s(out, grid, o);
  const T *from = g.data<T>(), *places = grid.data<T>();
  for (int64_t n = 0; n < s.batch; ++n) {
    std::vector<Taps<T>> taps(static_cast<size_t>(s.places));
    int many = 0;
    for (int64_t i = 0; i < s.places; ++i) {
      many = taps_of(places + (n * s.places + i) * o.dims, s.input, o, taps[i]);
    }
    parallel_for(s.channels, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t c = begin; c < end; ++c) {
        T* plane = out.data<T>() + (n * s.channels + c) * s.plane;
        const T* grads = from + (n * s.channels + c) * s.places;
        std::fill_n(plane, s.plane, T(0));
        for (int64_t i = 0; i < s.places; ++i) {
          for (int j = 0; j < many; ++j) {
            if (taps[i].at[j] >= 0) plane[taps[i].at[j]] += taps[i].weight[j] * grads[i];
          }
        }
      }
    });
  }
}

template <class T>
void spread_to_grid(const Tensor& g, const Tensor& x, const Tensor& grid, const Tensor& out,
                    const GridOptions& o) {
  const Sizes s(x, grid, o);
  const T *from = x.data<T>(), *places = grid.data<T>(), *grads = g.data<T>();
  parallel_for(s.batch * s.places, 256, [&](int64_t begin, int64_t end, int) {
    Taps<T> taps;
    for (int64_t p = begin; p < end; ++p) {
      const int64_t n = p / s.places, i = p % s.places;
      const int many = taps_of(places + p * o.dims, s.input, o, taps);
      T total[3] = {};
      for (int64_t c = 0; c < s.channels; ++c) {
        const T* plane = from + (n * s.channels + c) * s.plane;
        const T grad = grads[(n * s.channels + c) * s.places + i];
        for (int j = 0; j < many; ++j) {
          if (taps.at[j] < 0) continue;
          const T v = plane[taps.at[j]] * grad;
          for (int d = 0; d < o.dims; ++d) total[d] += v * taps.by[d][j];
        }
      }
      std::copy_n(total, o.dims, out.data<T>() + p * o.dims);
    }
  });
}

// Calls f(T{}, tensors...) with all of them contiguous in f64 for f64, else f32; `out` is what to
// write, converted afterwards.
template <class F>
void in_compute_type(Inputs in, const Tensor& out, const F& f) {
  const DType dtype = out.dtype() == DType::f64 ? DType::f64 : DType::f32;
  Tensors wide;
  for (const Tensor& t : in) wide.push_back(t.to(dtype).contiguous());
  const Tensor to = out.dtype() == dtype ? out : Tensor::empty(out.shape(), dtype);
  if (dtype == DType::f64) {
    f(double{}, wide, to);
  } else {
    f(float{}, wide, to);
    if (out.dtype() != dtype) write_elements(out, 0, out.numel(), to.data<float>());
  }
}

void sample_cpu(Inputs in, Outputs out, const GridOptions& o) {
  in_compute_type(in, out[0], [&]<class T>(T, const Tensors& t, const Tensor& to) {
    sample<T>(t[0], t[1], to, o);
  });
}

// Inputs: the gradient, x, grid. Outputs: those of x and of grid.
constinit Op<GridOptions> grid_sample_backward_op{
    "grid_sample_backward",
    {.infer =
         [](Inputs in, const GridOptions&) {
           return Specs{{in[1].shape(), in[1].dtype()}, {in[2].shape(), in[2].dtype()}};
         },
     .cpu =
         [](Inputs in, Outputs out, const GridOptions& o) {
           in_compute_type(in, out[0], [&]<class T>(T, const Tensors& t, const Tensor& to) {
             spread_to_input<T>(t[0], t[2], to, o);
           });
           in_compute_type(in, out[1], [&]<class T>(T, const Tensors& t, const Tensor& to) {
             spread_to_grid<T>(t[0], t[1], t[2], to, o);
           });
         }}};

Tensors vjp(const Saved<GridOptions>& saved, Inputs grads) {
  const Tensor &x = saved.inputs[0], &grid = saved.inputs[1];
  if (!grad_enabled()) {
    const Tensor in[] = {grads[0], x, grid};
    const auto both = apply_many(grid_sample_backward_op, in, saved.options);
    return {both[0], both[1]};
  }
  const Tensor y = grid_sample_composite(x, grid, saved.options);
  Tensors wanted;
  for (const Tensor& t : saved.inputs) {
    if (t.requires_grad()) wanted.push_back(t);
  }
  const Tensors found = grad({y}, wanted, {grads[0]}, {.create_graph = true, .allow_unused = true});
  if (wanted.size() == 2) return {found[0], found[1]};
  return x.requires_grad() ? Tensors{found[0], Tensor()} : Tensors{Tensor(), found[0]};
}

Specs infer(Inputs in, const GridOptions& o) {
  const Tensor &x = in[0], &grid = in[1];
  if (!is_real(x.dtype())) fail("grid_sample: input is ", x, "; call .to(f32) first");
  if (x.dtype() != grid.dtype()) {
    fail("grid_sample: input ", x, " and grid ", grid, " differ in dtype");
  }
  if (x.dim() != o.dims + 2 || grid.dim() != o.dims + 2 || grid.shape()[0] != x.shape()[0] ||
      grid.shape().back() != o.dims) {
    fail("grid_sample: input ", x, " and grid ", grid, " do not fit; the grid needs [",
         x.dim() > 0 ? x.shape()[0] : 0, ", ..., ", o.dims, "] and ", o.dims + 2, " dimensions");
  }
  Shape shape{x.shape()[0], x.shape()[1]};
  for (int i = 0; i < o.dims; ++i) {
    if (x.shape()[i + 2] == 0) fail("grid_sample: input is ", x, "; it has no elements");
    shape.push_back(grid.shape()[i + 1]);
  }
  if (o.interpolation == Interpolation::cubic && o.dims == 3) {
    fail("grid_sample: bicubic is for 4 dimensions, not for ", x);
  }
  return {{shape, x.dtype()}};
}

constinit Op<GridOptions> grid_sample_op{"grid_sample",
                                         {.infer = infer, .vjp = vjp, .cpu = sample_cpu}};

Tensor sample_at(const Tensor& x, const Tensor& grid, int64_t interpolation, int64_t padding,
                 bool align_corners) {
  if (x.dim() != 4 && x.dim() != 5) {
    fail("grid_sample: input is ", x, "; it needs 4 or 5 dimensions");
  }
  if (interpolation < 0 || interpolation > 2 || padding < 0 || padding > 2) {
    fail("grid_sample: modes ", interpolation, " and ", padding, " must be 0, 1 or 2");
  }
  return apply(grid_sample_op, {x, grid},
               {x.dim() - 2, static_cast<Interpolation>(interpolation),
                static_cast<Outside>(padding), align_corners});
}

int64_t place_of(const char* what, std::string_view name,
                 std::initializer_list<std::string_view> names) {
  int64_t i = 0;
  for (std::string_view n : names) {
    if (n == name) return i;
    ++i;
  }
  fail("grid_sample: ", what, " is \"", name, "\"; it must be ", *names.begin(), ", ",
       *(names.begin() + 1), " or ", *(names.begin() + 2));
}

}  // namespace

Tensor grid_sample(const Tensor& input, const Tensor& grid, std::string_view mode,
                   std::string_view padding_mode, std::optional<bool> align_corners) {
  return sample_at(input, grid, place_of("mode", mode, {"bilinear", "nearest", "bicubic"}),
                   place_of("padding_mode", padding_mode, {"zeros", "border", "reflection"}),
                   align_corners.value_or(false));
}
Tensor grid_sampler(const Tensor& input, const Tensor& grid, int64_t interpolation_mode,
                    int64_t padding_mode, bool align_corners) {
  return sample_at(input, grid, interpolation_mode, padding_mode, align_corners);
}
Tensor grid_sampler_2d(const Tensor& input, const Tensor& grid, int64_t interpolation_mode,
                       int64_t padding_mode, bool align_corners) {
  if (input.dim() != 4) fail("grid_sampler_2d: input is ", input, "; it needs 4 dimensions");
  return sample_at(input, grid, interpolation_mode, padding_mode, align_corners);
}
Tensor grid_sampler_3d(const Tensor& input, const Tensor& grid, int64_t interpolation_mode,
                       int64_t padding_mode, bool align_corners) {
  if (input.dim() != 5) fail("grid_sampler_3d: input is ", input, "; it needs 5 dimensions");
  return sample_at(input, grid, interpolation_mode, padding_mode, align_corners);
}

}  // namespace tallow
