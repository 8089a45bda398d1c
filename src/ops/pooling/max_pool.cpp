// Max pooling, sliding and adaptive.
#include "ops/pooling/max_pool.h"

#include <algorithm>
#include <limits>

#include "ops/elements.h"
#include "ops/pooling/kernels.h"
#include "tallow/autograd.h"
#include "tallow/ops/pooling.h"
#include "tallow/parallel.h"

namespace tallow {
namespace pooling {

template <class T>
void max_of_plane(const T* x, const Extent& size, const PlaneWindows& w, T* values,
                  int64_t* indices) {
  for (const Window& wz : w.along[0]) {
    for (const Window& wy : w.along[1]) {
      for (const Window& wx : w.along[2]) {
        // A window may begin past the end, where ceil_mode and dilation meet: it names the last
        // one.
        int64_t best =
            (std::min(wz.start, size[0] - 1) * size[1] + std::min(wy.start, size[1] - 1)) *
                size[2] +
            std::min(wx.start, size[2] - 1);
        T top = std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity()
                                                     : std::numeric_limits<T>::lowest();
        for (int64_t z = wz.start; z < wz.end; z += wz.step) {
          for (int64_t y = wy.start; y < wy.end; y += wy.step) {
            const int64_t row = (z * size[1] + y) * size[2];
            for (int64_t i = row + wx.start; i < row + wx.end; i += wx.step) {
              const T v = x[i];
              if (v > top || v != v) {
                top = v;
                best = i;
              }
            }
          }
        }
        *values++ = top;
        if (indices) *indices++ = best;
      }
    }
  }
}
template void max_of_plane(const float*, const Extent&, const PlaneWindows&, float*, int64_t*);
template void max_of_plane(const double*, const Extent&, const PlaneWindows&, double*, int64_t*);
template void max_of_plane(const int64_t*, const Extent&, const PlaneWindows&, int64_t*, int64_t*);

}  // namespace pooling

namespace {

using namespace pooling;

void check_dtype(const char* op, const Tensor& x) {
  check_not_block(op, x);
  check_not_complex(op, x);
  if (x.dtype() == DType::boolean) fail(op, ": input is ", x, "; call .to(f32) first");
}

Specs infer(Inputs in, const Options& o) {
  const Shape& shape = in[0].shape();
  const Extent sizes = output_extent("max_pool", extent(shape, o.dims), o);
  const Shape out = with_extent(shape, sizes, o.dims);
  return {{out, in[0].dtype()}, {out, DType::i64}};
}

PlaneWindows plane_windows(const Extent& from, const Extent& to, const Options& o) {
  PlaneWindows w;
  for (int d = 0; d < 3; ++d) w.along[d] = windows(o, d, from[d], to[d]);
  return w;
}

void cpu(Inputs in, Outputs out, const Options& o) {
  const Tensor& x = in[0];
  const Extent from = extent(x.shape(), o.dims), to = extent(out[0].shape(), o.dims);
  const int64_t planes = plane_count(x.shape(), o.dims), n = volume(from), m = volume(to);
  const bool want_indices = out.size() > 1;
  if (planes * m == 0) return;
  const PlaneWindows w = plane_windows(from, to, o);
  with_compute_type(compute_type(x.dtype()), [&]<class T>(T) {
    const ElementReader<T> reader(x, x.shape());
    const bool fast = std::is_same_v<T, float> && !want_indices && !o.adaptive && o.dims <= 2;
    const PlanePool pool = plane_pool(o, from, to);
    parallel_for(planes, std::max<int64_t>(1, 16384 / n), [&](int64_t begin, int64_t end, int) {
      std::vector<T> plane(static_cast<size_t>(n)), values(static_cast<size_t>(m));
      std::vector<float> rows(fast ? static_cast<size_t>(pool.scratch()) : 0);
      for (int64_t p = begin; p < end; ++p) {
        const T* elements = reader.read(p * n, n, plane.data());
        T* target = element_target(out[0], p * m, values.data());
        if constexpr (std::is_same_v<T, float>) {
          if (fast) kernels.max_plane(elements, target, rows.data(), pool);
        }
        if (!fast) {
          int64_t* indices = want_indices ? out[1].data<int64_t>() + p * m : nullptr;
          max_of_plane(elements, from, w, target, indices);
        }
        write_elements(out[0], p * m, m, target);
      }
    });
  });
}

Tensors vjp(const Saved<Options>& saved, Inputs grads) {
  const Options& o = saved.options;
  const Shape& shape = saved.inputs[0].shape();
  return {scatter_plane(grads[0], saved.outputs[1], extent(shape, o.dims), o.dims)};
}

constinit Op<Options> max_pool_op{
    "max_pool",
    {.infer = infer, .vjp = vjp, .cpu = cpu, .save_outputs = true, .shapes_only = true}};

// Without a gradient, which needs the indices, only the values are computed.
constinit Op<Options> max_pool_values_op{"max_pool_values",
                                         {.infer =
                                              [](Inputs in, const Options& o) {
                                                Specs specs = infer(in, o);
                                                specs.pop_back();
                                                return specs;
                                              },
                                          .cpu = cpu}};

Tensor values_of(const Tensor& x, const Options& o) {
  if (grad_enabled() && x.requires_grad()) return apply(max_pool_op, {x}, o);
  return apply(max_pool_values_op, {x}, o);
}

ValuesIndices both_of(const Tensor& x, const Options& o) {
  const Tensor in[] = {x};
  Tensors out = apply_many(max_pool_op, in, o);
  return {out[0], out[1]};
}

struct Slide {
  const Dims &kernel, &stride, &padding, &dilation;
  bool ceil_mode;
};

Options sliding_of(const char* op, int dims, const Tensor& x, const Slide& s) {
  check_dtype(op, x);
  check_input(op, x, dims);
  return sliding(op, dims, s.kernel, s.stride, s.padding, s.dilation, s.ceil_mode);
}

Options adaptive_of(const char* op, int dims, const Tensor& x, const Dims& output_size) {
  check_dtype(op, x);
  check_input(op, x, dims);
  return adaptive(op, dims, output_size);
}

}  // namespace

#define TALLOW_MAX_POOL(N)                                                                       \
  Tensor max_pool##N##d(const Tensor& x, const Dims& kernel_size, const Dims& stride,            \
                        const Dims& padding, const Dims& dilation, bool ceil_mode) {             \
    return values_of(x, sliding_of("max_pool" #N "d", N, x,                                      \
                                   {kernel_size, stride, padding, dilation, ceil_mode}));        \
  }                                                                                              \
  ValuesIndices max_pool##N##d_with_indices(const Tensor& x, const Dims& kernel_size,            \
                                            const Dims& stride, const Dims& padding,             \
                                            const Dims& dilation, bool ceil_mode) {              \
    return both_of(x, sliding_of("max_pool" #N "d", N, x,                                        \
                                 {kernel_size, stride, padding, dilation, ceil_mode}));          \
  }                                                                                              \
  Tensor adaptive_max_pool##N##d(const Tensor& x, const Dims& output_size) {                     \
    return values_of(x, adaptive_of("adaptive_max_pool" #N "d", N, x, output_size));             \
  }                                                                                              \
  ValuesIndices adaptive_max_pool##N##d_with_indices(const Tensor& x, const Dims& output_size) { \
    return both_of(x, adaptive_of("adaptive_max_pool" #N "d", N, x, output_size));               \
  }
TALLOW_MAX_POOL(1)
TALLOW_MAX_POOL(2)
TALLOW_MAX_POOL(3)
#undef TALLOW_MAX_POOL

}  // namespace tallow
