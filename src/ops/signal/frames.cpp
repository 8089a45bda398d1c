// Frames are a view; their gradient adds them up where they overlap.
#include "ops/signal/frames.h"

#include <vector>

#include "ops/elements.h"
#include "tallow/parallel.h"

namespace tallow::signal {
namespace {

struct FrameOptions {
  int64_t size, hop, samples;
};

Specs infer_frames(Inputs in, const FrameOptions& o) {
  const Tensor& x = in[0];
  const int last = x.dim() - 1;
  Shape shape = x.shape(), strides = x.strides();
  shape[last] = 1 + (o.samples - o.size) / o.hop;
  shape.push_back(o.size);
  strides.push_back(strides[last]);
  strides[last] *= o.hop;
  return {{shape, x.dtype(), 0, true, strides, x.offset()}};
}

constinit Op<FrameOptions> frames_op{
    "frames",
    {.infer = infer_frames,
     .vjp =
         [](const Saved<FrameOptions>& saved, Inputs grads) {
           return Tensors{overlap_add(grads[0], saved.options.hop, saved.options.samples)};
         },
     .shapes_only = true}};

void add_frames(Inputs in, Outputs out, const FrameOptions& o) {
  const Tensor& x = in[0];
  const int64_t count = x.shape()[x.dim() - 2], size = x.shape().back();
  const int64_t lines = o.samples == 0 ? 0 : out[0].numel() / o.samples;
  with_any_compute_type(compute_type(x.dtype()), [&]<class T>(T) {
    const ElementReader<T> reader(x, x.shape());
    parallel_for(lines, 1, [&](int64_t begin, int64_t end, int) {
      std::vector<T> frame(static_cast<size_t>(size)), line(static_cast<size_t>(o.samples));
      for (int64_t l = begin; l < end; ++l) {
        T* to = element_target(out[0], l * o.samples, line.data());
        std::fill_n(to, o.samples, T(0));
        for (int64_t f = 0; f < count; ++f) {
          const T* from = reader.read((l * count + f) * size, size, frame.data());
          for (int64_t i = 0; i < size; ++i) to[f * o.hop + i] += from[i];
        }
        write_elements(out[0], l * o.samples, o.samples, to);
      }
    });
  });
}

constinit Op<FrameOptions> overlap_add_op{
    "overlap_add",
    {.infer =
         [](Inputs in, const FrameOptions& o) {
           Shape shape = in[0].shape();
           shape.erase(shape.size() - 1);
           shape.back() = o.samples;
           return Specs{{shape, in[0].dtype()}};
         },
     .vjp =
         [](const Saved<FrameOptions>& saved, Inputs grads) {
           return Tensors{frames(grads[0], saved.options.size, saved.options.hop)};
         },
     .cpu = add_frames,
     .shapes_only = true}};

}  // namespace

Tensor frames(const Tensor& x, int64_t size, int64_t hop) {
  return apply(frames_op, {x}, {size, hop, x.shape().back()});
}
Tensor overlap_add(const Tensor& x, int64_t hop, int64_t samples) {
  return apply(overlap_add_op, {x}, {x.shape().back(), hop, samples});
}

}  // namespace tallow::signal
