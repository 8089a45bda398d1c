// Separable resampling and its adjoint, a plane at a time.
#include "ops/image/resample.h"

#include <algorithm>

#include "ops/elements.h"
#include "tallow/parallel.h"

namespace tallow::image {
namespace {

// x [outer, in, inner] to y [outer, out, inner].
template <class T>
void gather(const T* x, T* y, int64_t outer, int64_t in, int64_t out, int64_t inner,
            const Table<T>& t) {
  for (int64_t b = 0; b < outer; ++b, x += in * inner, y += out * inner) {
    for (int64_t i = 0; i < out; ++i) {
      const T *w = t.weights.data() + i * t.width, *from = x + t.start[i] * inner;
      T* to = y + i * inner;
      const int64_t count = t.count[i];
      if (inner == 1) {
        T total = w[0] * from[0];
        for (int64_t j = 1; j < count; ++j) total += w[j] * from[j];
        *to = total;
      } else if (count == 1) {
        for (int64_t k = 0; k < inner; ++k) to[k] = w[0] * from[k];
      } else {
        const T* next = from + inner;
        for (int64_t k = 0; k < inner; ++k) to[k] = w[0] * from[k] + w[1] * next[k];
        for (int64_t j = 2; j < count; ++j) {
          const T* row = from + j * inner;
          for (int64_t k = 0; k < inner; ++k) to[k] += w[j] * row[k];
        }
      }
    }
  }
}

// The adjoint: y [outer, in, inner] from g [outer, out, inner].
template <class T>
void scatter(const T* g, T* y, int64_t outer, int64_t in, int64_t out, int64_t inner,
             const Table<T>& t) {
  std::fill_n(y, outer * in * inner, T(0));
  for (int64_t b = 0; b < outer; ++b, g += out * inner, y += in * inner) {
    for (int64_t i = 0; i < out; ++i) {
      for (int64_t j = 0; j < t.count[i]; ++j) {
        const T w = t.weights[i * t.width + j];
        T* to = y + (t.start[i] + j) * inner;
        const T* from = g + i * inner;
        for (int64_t k = 0; k < inner; ++k) to[k] += w * from[k];
      }
    }
  }
}

void gather(const uint8_t* x, uint8_t* y, int64_t outer, int64_t in, int64_t out, int64_t inner,
            const FixedTable& t) {
  for (int64_t b = 0; b < outer; ++b, x += in * inner, y += out * inner) {
    for (int64_t i = 0; i < out; ++i) {
      const int32_t* w = t.weights.data() + i * t.width;
      const uint8_t* from = x + t.start[i] * inner;
      for (int64_t k = 0; k < inner; ++k) {
        int32_t total = t.precision > 0 ? 1 << (t.precision - 1) : 0;
        for (int64_t j = 0; j < t.count[i]; ++j) total += w[j] * from[j * inner + k];
        y[i * inner + k] = static_cast<uint8_t>(std::clamp(total >> t.precision, 0, 255));
      }
    }
  }
}

struct Plane {
  int64_t in, out, largest;  // elements; of the largest stage between
};

Plane plane_of(const ResampleOptions& o, bool adjoint) {
  int64_t sizes[3];
  for (int d = 0; d < 3; ++d) sizes[d] = adjoint ? o.out[d] : o.in[d];
  Plane p{sizes[0] * sizes[1] * sizes[2], 0, 0};
  for (int i = 0; i < 3; ++i) {
    const int d = adjoint ? i : 2 - i;
    sizes[d] = adjoint ? o.in[d] : o.out[d];
    p.largest = std::max(p.largest, sizes[0] * sizes[1] * sizes[2]);
  }
  p.out = sizes[0] * sizes[1] * sizes[2];
  return p;
}

// Runs the passes of one plane back and forth between two buffers; the last one writes `to`.
template <class T, class F>
void run_passes(const T* from, T* to, T* a, T* b, const ResampleOptions& o, bool adjoint,
                const F& pass) {
  int64_t sizes[3];
  for (int d = 0; d < 3; ++d) sizes[d] = adjoint ? o.out[d] : o.in[d];
  const int first = 3 - o.dims;
  for (int i = 0; i < o.dims; ++i) {
    const int d = adjoint ? first + i : 2 - i;
    int64_t outer = 1, inner = 1;
    for (int k = 0; k < d; ++k) outer *= sizes[k];
    for (int k = d + 1; k < 3; ++k) inner *= sizes[k];
    T* target = i == o.dims - 1 ? to : i % 2 ? b : a;
    pass(d, from, target, outer, inner);
    sizes[d] = adjoint ? o.in[d] : o.out[d];
    from = target;
  }
}

void run_u8(const Tensor& x, const Tensor& out, const ResampleOptions& o) {
  const Plane plane = plane_of(o, false);
  std::vector<FixedTable> tables;
  for (int d = 0; d < 3; ++d) tables.push_back(fixed_table_of(o, d));
  const Tensor held = x.contiguous();
  const int64_t planes = out.numel() / plane.out;
  parallel_for(
      planes, std::max<int64_t>(1, 16384 / plane.largest), [&](int64_t begin, int64_t end, int) {
        std::vector<uint8_t> a(static_cast<size_t>(plane.largest)), b(a);
        for (int64_t p = begin; p < end; ++p) {
          run_passes<uint8_t>(
              static_cast<const uint8_t*>(held.raw()) + p * plane.in,
              static_cast<uint8_t*>(out.raw()) + p * plane.out, a.data(), b.data(), o, false,
              [&](int d, const uint8_t* from, uint8_t* to, int64_t outer, int64_t inner) {
                gather(from, to, outer, o.in[d], o.out[d], inner, tables[d]);
              });
        }
      });
}

void run(const Tensor& x, const Tensor& out, const ResampleOptions& o, bool adjoint) {
  if (out.numel() == 0) return;
  if (x.dtype() == DType::u8) return run_u8(x, out, o);
  const Plane plane = plane_of(o, adjoint);
  const int64_t planes = out.numel() / plane.out;
  const auto go = [&]<class T>(T) {
    std::vector<Table<T>> tables(3);
    for (int d = 3 - o.dims; d < 3; ++d) tables[d] = table_of<T>(o, d);
    const ElementReader<T> reader(x, x.shape());
    parallel_for(planes, std::max<int64_t>(1, 16384 / plane.largest),
                 [&](int64_t begin, int64_t end, int) {
                   const auto room = static_cast<size_t>(plane.largest);
                   std::vector<T> held(static_cast<size_t>(plane.in)), a(room), b(room), c(room);
                   for (int64_t p = begin; p < end; ++p) {
                     const T* from = reader.read(p * plane.in, plane.in, held.data());
                     T* to = element_target(out, p * plane.out, c.data());
                     run_passes<T>(from, to, a.data(), b.data(), o, adjoint,
                                   [&](int d, const T* x0, T* y0, int64_t outer, int64_t inner) {
                                     const auto pass = adjoint ? scatter<T> : gather<T>;
                                     pass(x0, y0, outer, o.in[d], o.out[d], inner, tables[d]);
                                   });
                     write_elements(out, p * plane.out, plane.out, to);
                   }
                 });
  };
  if (compute_type(x.dtype()) == ComputeType::f64) return go(double{});
  go(float{});
}

Specs infer(Inputs in, const ResampleOptions& o, const int64_t* sizes) {
  Shape shape = in[0].shape();
  for (int i = 0; i < o.dims; ++i) shape[shape.size() - o.dims + i] = sizes[3 - o.dims + i];
  return {{shape, in[0].dtype()}};
}

extern Op<ResampleOptions> adjoint_op;

constinit Op<ResampleOptions> resample_op{
    "interpolate",
    {.infer = [](Inputs in, const ResampleOptions& o) { return infer(in, o, o.out); },
     .vjp = [](const Saved<ResampleOptions>& saved,
               Inputs grads) { return Tensors{apply(adjoint_op, {grads[0]}, saved.options)}; },
     .cpu = [](Inputs in, Outputs out, const ResampleOptions& o) { run(in[0], out[0], o, false); },
     .shapes_only = true}};

constinit Op<ResampleOptions> adjoint_op{
    "interpolate_adjoint",
    {.infer = [](Inputs in, const ResampleOptions& o) { return infer(in, o, o.in); },
     .vjp = [](const Saved<ResampleOptions>& saved,
               Inputs grads) { return Tensors{apply(resample_op, {grads[0]}, saved.options)}; },
     .cpu = [](Inputs in, Outputs out, const ResampleOptions& o) { run(in[0], out[0], o, true); },
     .shapes_only = true}};

}  // namespace

Tensor resample(const Tensor& x, const ResampleOptions& o) { return apply(resample_op, {x}, o); }

}  // namespace tallow::image
