// Convolutions by their definition, in any compute type.
#include <algorithm>

#include "ops/convolution/convolution.h"
#include "ops/elements.h"
#include "tallow/parallel.h"

namespace tallow::conv {
namespace {

struct Problem {
  const ConvOptions& o;
  Spatial in, out, kernel;
  bool transposed;

  // The position in x that meets tap k at output position p, or -1.
  int64_t at(int d, int64_t p, int64_t k) const {
    if (!transposed) {
      const int64_t i = p * o.stride[d] + k * o.dilation[d] - o.padding[d];
      return i >= 0 && i < in.size[d] ? i : -1;
    }
    const int64_t i = p + o.padding[d] - k * o.dilation[d];
    return i >= 0 && i % o.stride[d] == 0 && i / o.stride[d] < in.size[d] ? i / o.stride[d] : -1;
  }
};

// f(output position, tap, input position), as flat indices, wherever a tap meets the input.
template <class F>
void for_output(const Problem& c, int64_t p, const F& f) {
  const int64_t w = p % c.out.size[2], h = p / c.out.size[2] % c.out.size[1];
  const int64_t d = p / c.out.size[2] / c.out.size[1];
  int64_t tap = 0;
  for (int64_t kd = 0; kd < c.kernel.size[0]; ++kd) {
    const int64_t id = c.at(0, d, kd);
    for (int64_t kh = 0; kh < c.kernel.size[1]; ++kh) {
      const int64_t ih = c.at(1, h, kh);
      for (int64_t kw = 0; kw < c.kernel.size[2]; ++kw, ++tap) {
        const int64_t iw = c.at(2, w, kw);
        if (id >= 0 && ih >= 0 && iw >= 0) f(tap, (id * c.in.size[1] + ih) * c.in.size[2] + iw);
      }
    }
  }
}

// y[n, o] = bias[o] + the sum over channels; `w` is at (o, c, tap) by strides.
template <class T>
void convolve(const Problem& c, Inputs in, const Tensor& y) {
  const Tensor x = in[0].to(y.dtype()).contiguous(), weight = in[1].to(y.dtype()).contiguous();
  const Tensor bias = in[2] ? in[2].to(y.dtype()).contiguous() : Tensor();
  const int64_t channels = x.size(1) / c.o.groups, outs = y.size(1) / c.o.groups;
  const int64_t taps = c.kernel.numel(), pixels = c.out.numel();
  const int64_t out_stride = c.transposed ? taps : channels * taps;
  const int64_t channel_stride = c.transposed ? outs * taps : taps;
  parallel_for(y.size(0) * y.size(1), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t n = i / y.size(1), o = i % y.size(1), group = o / outs;
      const T* image = x.data<T>() + (n * x.size(1) + group * channels) * c.in.numel();
      const T* w = weight.data<T>() + (c.transposed ? group * channels * channel_stride : 0) +
                   (c.transposed ? o % outs : o) * out_stride;
      for (int64_t p = 0; p < pixels; ++p) {
        T total = bias ? bias.data<T>()[o] : T(0);
        for_output(c, p, [&](int64_t tap, int64_t at) {
          for (int64_t k = 0; k < channels; ++k)
            total += image[k * c.in.numel() + at] * w[k * channel_stride + tap];
        });
        y.data<T>()[i * pixels + p] = total;
      }
    }
  });
}

template <class T>
void weight_gradient(const Problem& c, Inputs in, const Tensor& result) {
  const Tensor x = in[0].to(result.dtype()).contiguous(), g = in[1].to(result.dtype()).contiguous();
  const int64_t channels = x.size(1) / c.o.groups, outs = g.size(1) / c.o.groups;
  const int64_t taps = c.kernel.numel(), pixels = c.out.numel();
  parallel_for(result.size(0) * channels, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t o = i / channels, k = o / outs * channels + i % channels;
      T* target = result.data<T>() + i * taps;
      std::fill(target, target + taps, T(0));
      for (int64_t n = 0; n < x.size(0); ++n) {
        const T* image = x.data<T>() + (n * x.size(1) + k) * c.in.numel();
        const T* grad = g.data<T>() + (n * g.size(1) + o) * pixels;
        for (int64_t p = 0; p < pixels; ++p) {
          for_output(c, p, [&](int64_t tap, int64_t at) { target[tap] += grad[p] * image[at]; });
        }
      }
    }
  });
}

DType wide_type(ComputeType type) {
  switch (type) {
    case ComputeType::f32: return DType::f32;
    case ComputeType::f64: return DType::f64;
    case ComputeType::i64: return DType::i64;
    default: return DType::c128;
  }
}

// Calls f(T{}, target) with the result in its compute type, and converts it.
template <class F>
void compute(const Tensor& out, const F& f) {
  const ComputeType type = compute_type(out.dtype());
  const DType wide = wide_type(type);
  const Tensor target = out.dtype() == wide ? out : Tensor::empty(out.shape(), wide);
  with_any_compute_type(type, [&]<class T>(T) {
    f(T{}, target);
    if (out.dtype() != wide) write_elements(out, 0, out.numel(), target.data<T>());
  });
}

void add_and_activate(const Tensor& residual, const Tensor& y, Activation activation) {
  Tensor sum = residual ? y + residual : y;
  if (activation == Activation::relu) sum = maximum(sum, 0);
  if (activation == Activation::silu) sum = sum * sigmoid(sum);
  std::copy_n(static_cast<const std::byte*>(sum.contiguous().raw()), y.nbytes(),
              static_cast<std::byte*>(y.raw()));
}

}  // namespace

void forward(Inputs in, Outputs out, const ConvOptions& o) {
  const Problem c{o, Spatial(in[0].shape()), Spatial(out[0].shape()), Spatial(in[1].shape()),
                  false};
  compute(out[0], [&]<class T>(T, const Tensor& y) { convolve<T>(c, in, y); });
  if (in[3] || o.activation != Activation::none) add_and_activate(in[3], out[0], o.activation);
}

void transposed(Inputs in, Outputs out, const ConvOptions& o) {
  const Problem c{o, Spatial(in[0].shape()), Spatial(out[0].shape()), Spatial(in[1].shape()), true};
  compute(out[0], [&]<class T>(T, const Tensor& y) { convolve<T>(c, in, y); });
}

void weight(Inputs in, Outputs out, const ConvOptions& o) {
  const Problem c{o, Spatial(in[0].shape()), Spatial(in[1].shape()), Spatial(out[0].shape()),
                  false};
  compute(out[0], [&]<class T>(T, const Tensor& y) { weight_gradient<T>(c, in, y); });
}

}  // namespace tallow::conv
