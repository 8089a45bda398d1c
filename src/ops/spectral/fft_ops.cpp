// Fourier transforms as ops. Each one's gradient is another: the transform is linear, and its
// adjoint turns the other way.
#include "ops/spectral/fft_ops.h"

#include "ops/elements.h"
#include "ops/spectral/transform.h"
#include "tallow/ops.h"
#include "tallow/parallel.h"

namespace tallow::spectral {
namespace {

struct ComplexOptions {
  uint32_t dims;
  bool inverse;
  double scale;
};

struct RealOptions {
  int dim;
  int64_t n;  // real elements
  bool inverse;
  double scale;
  double inner = 1;  // factor of all elements of the half spectrum but the first and the middle
};

extern Op<RealOptions> real_inverse_op;

// The layout of `x` in elements of its real dtype, without dimension `dim`.
void describe(const Tensor& x, int dim, Shape& strides, int64_t& step) {
  const int64_t unit = is_complex(x.dtype()) ? 2 : 1;
  strides = x.strides();
  for (int64_t& s : strides) s *= unit;
  step = strides[dim];
  strides.erase(dim);
}

template <class T>
void run_pass(const Tensor& x, const Tensor& out, int dim, Pass<T> pass) {
  pass.in = static_cast<const T*>(x.raw());
  pass.out = static_cast<T*>(out.raw());
  describe(x, dim, pass.in_strides, pass.in_step);
  describe(out, dim, pass.out_strides, pass.out_step);
  pass.sizes = out.shape();
  pass.sizes.erase(dim);
  transform(pass);
}

template <class F>
void with_precision(DType dtype, const F& f) {
  if (to_real(dtype) == DType::f64) return f(double{});
  f(float{});
}

void complex_cpu(Inputs in, Outputs out, const ComplexOptions& o) {
  with_precision(out[0].dtype(), [&]<class T>(T) {
    Tensor from = in[0];
    double scale = o.scale;
    for (int dim = from.dim() - 1; dim >= 0; --dim) {
      if (!(o.dims >> dim & 1)) continue;
      Pass<T> pass{.n = from.shape()[dim], .inverse = o.inverse, .scale = static_cast<T>(scale)};
      run_pass<T>(from, out[0], dim, pass);
      from = out[0];
      scale = 1;
    }
  });
}

constinit Op<ComplexOptions> complex_op{
    "fft",
    {.infer =
         [](Inputs in, const ComplexOptions&) {
           return Specs{{in[0].shape(), in[0].dtype()}};
         },
     .vjp =
         [](const Saved<ComplexOptions>& saved, Inputs grads) {
           const auto& o = saved.options;
           return Tensors{complex_transform(grads[0], o.dims, !o.inverse, o.scale)};
         },
     .cpu = complex_cpu,
     .shapes_only = true}};

// Multiplies the inner elements of a contiguous half spectrum.
template <class T>
void weigh(const Tensor& x, int dim, int64_t n, T inner) {
  if (inner == 1) return;
  const int64_t count = n / 2 + 1;
  int64_t width = 2, outer = 1;
  for (int i = 0; i < dim; ++i) outer *= x.shape()[i];
  for (int i = dim + 1; i < x.dim(); ++i) width *= x.shape()[i];
  T* data = static_cast<T*>(x.raw());
  const int64_t last = n % 2 == 0 ? count - 1 : count;
  parallel_for(outer, std::max<int64_t>(1, 16384 / (count * width + 1)),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t o = begin; o < end; ++o) {
                   T* line = data + o * count * width;
                   for (int64_t i = width; i < last * width; ++i) line[i] *= inner;
                 }
               });
}

void real_cpu(Inputs in, Outputs out, const RealOptions& o) {
  with_precision(out[0].dtype(), [&]<class T>(T) {
    Pass<T> pass{.kind = Kind::real_to_complex,
                 .n = o.n,
                 .inverse = o.inverse,
                 .scale = static_cast<T>(o.scale)};
    run_pass<T>(in[0], out[0], o.dim, pass);
    weigh(out[0], o.dim, o.n, static_cast<T>(o.inner));
  });
}

constinit Op<RealOptions> real_op{"rfft",
                                  {.infer =
                                       [](Inputs in, const RealOptions& o) {
                                         Shape shape = in[0].shape();
                                         shape[o.dim] = o.n / 2 + 1;
                                         return Specs{{shape, to_complex(in[0].dtype())}};
                                       },
                                   .vjp =
                                       [](const Saved<RealOptions>& saved, Inputs grads) {
                                         RealOptions o = saved.options;
                                         o.inverse = !o.inverse;
                                         o.inner /= 2;  // the transform back counts them twice
                                         return Tensors{apply(real_inverse_op, {grads[0]}, o)};
                                       },
                                   .cpu = real_cpu,
                                   .shapes_only = true}};

void real_inverse_cpu(Inputs in, Outputs out, const RealOptions& o) {
  with_precision(out[0].dtype(), [&]<class T>(T) {
    Pass<T> pass{.kind = Kind::complex_to_real,
                 .n = o.n,
                 .inverse = o.inverse,
                 .scale = static_cast<T>(o.scale)};
    Tensor x = in[0];
    if (o.inner != 1) {
      x = Tensor::empty(x.shape(), x.dtype());
      const ElementReader<Complex> reader(in[0], in[0].shape());
      Complex chunk[kChunk];
      for (int64_t i = 0; i < x.numel(); i += kChunk) {
        const int64_t n = std::min(kChunk, x.numel() - i);
        write_elements(x, i, n, reader.read(i, n, chunk));
      }
      weigh(x, o.dim, o.n, static_cast<T>(o.inner));
    }
    run_pass<T>(x, out[0], o.dim, pass);
  });
}

constinit Op<RealOptions> real_inverse_op{"irfft",
                                          {.infer =
                                               [](Inputs in, const RealOptions& o) {
                                                 Shape shape = in[0].shape();
                                                 shape[o.dim] = o.n;
                                                 return Specs{{shape, to_real(in[0].dtype())}};
                                               },
                                           .vjp =
                                               [](const Saved<RealOptions>& saved, Inputs grads) {
                                                 RealOptions o = saved.options;
                                                 o.inverse = !o.inverse;
                                                 o.inner *= 2;
                                                 return Tensors{apply(real_op, {grads[0]}, o)};
                                               },
                                           .cpu = real_inverse_cpu,
                                           .shapes_only = true}};

}  // namespace

Tensor complex_transform(const Tensor& x, uint32_t dims, bool inverse, double scale) {
  return apply(complex_op, {x}, {dims, inverse, scale});
}
Tensor real_transform(const Tensor& x, int dim, bool inverse, double scale) {
  return apply(real_op, {x}, {dim, x.shape()[dim], inverse, scale});
}
Tensor real_inverse(const Tensor& x, int dim, int64_t n, bool inverse, double scale) {
  return apply(real_inverse_op, {x}, {dim, n, inverse, scale});
}

}  // namespace tallow::spectral
