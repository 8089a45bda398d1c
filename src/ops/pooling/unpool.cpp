// Moves between planes by index: the gradients of max pooling, and max unpooling.
#include <cstring>

#include "ops/elements.h"
#include "ops/pooling/max_pool.h"
#include "tallow/ops/pooling.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

using namespace pooling;

struct PlaneOptions {
  int dims;
  Extent sizes;     // of the planes that the indices point into
  bool add = true;  // else the last of equal indices counts
};

int64_t checked(int64_t index, int64_t n, const char* op) {
  if (index < 0 || index >= n) {
    fail(op, ": index ", index, " is outside the plane's 0..", n - 1);
  }
  return index;
}

extern Op<PlaneOptions> gather_plane_op;

void scatter_cpu(Inputs in, Outputs out, const PlaneOptions& o) {
  const int64_t n = volume(o.sizes), planes = plane_count(out[0].shape(), o.dims);
  if (n * planes == 0) return;
  const int64_t m = in[0].numel() / planes;
  with_any_compute_type(compute_type(in[0].dtype()), [&]<class T>(T) {
    const ElementReader<T> reader(in[0], in[0].shape());
    const ElementReader<int64_t> places(in[1], in[1].shape());
    parallel_for(planes, std::max<int64_t>(1, 16384 / n), [&](int64_t begin, int64_t end, int) {
      std::vector<T> scratch(static_cast<size_t>(m)), plane(static_cast<size_t>(n));
      std::vector<int64_t> indices(static_cast<size_t>(m));
      for (int64_t p = begin; p < end; ++p) {
        const T* x = reader.read(p * m, m, scratch.data());
        const int64_t* at = places.read(p * m, m, indices.data());
        T* to = element_target(out[0], p * n, plane.data());
        std::fill_n(to, n, T(0));
        for (int64_t i = 0; i < m; ++i) {
          T& place = to[checked(at[i], n, "max_unpool")];
          place = o.add ? place + x[i] : x[i];
        }
        write_elements(out[0], p * n, n, to);
      }
    });
  });
}

Tensors scatter_vjp(const Saved<PlaneOptions>& saved, Inputs grads) {
  return {apply(gather_plane_op, {grads[0], saved.inputs[1]}, saved.options), Tensor()};
}

constinit Op<PlaneOptions> scatter_plane_op{
    "scatter_plane",
    {.infer =
         [](Inputs in, const PlaneOptions& o) {
           return Specs{{with_extent(in[0].shape(), o.sizes, o.dims), in[0].dtype()}};
         },
     .vjp = scatter_vjp,
     .cpu = scatter_cpu}};

void gather_cpu(Inputs in, Outputs out, const PlaneOptions& o) {
  const int64_t n = volume(o.sizes), planes = plane_count(out[0].shape(), o.dims);
  if (out[0].numel() == 0) return;
  const int64_t m = out[0].numel() / planes, bytes = info(in[0].dtype()).bytes;
  const Tensor x = in[0].contiguous();
  const ElementReader<int64_t> places(in[1], in[1].shape());
  const auto* from = static_cast<const std::byte*>(x.raw());
  auto* to = static_cast<std::byte*>(out[0].raw());
  parallel_for(planes, std::max<int64_t>(1, 16384 / m), [&](int64_t begin, int64_t end, int) {
    std::vector<int64_t> indices(static_cast<size_t>(m));
    for (int64_t p = begin; p < end; ++p) {
      const int64_t* at = places.read(p * m, m, indices.data());
      for (int64_t i = 0; i < m; ++i) {
        const int64_t place = p * n + checked(at[i], n, "max_pool");
        std::memcpy(to + (p * m + i) * bytes, from + place * bytes, static_cast<size_t>(bytes));
      }
    }
  });
}

constinit Op<PlaneOptions> gather_plane_op{
    "gather_plane",
    {.infer =
         [](Inputs in, const PlaneOptions&) {
           return Specs{{in[1].shape(), in[0].dtype()}};
         },
     .vjp =
         [](const Saved<PlaneOptions>& saved, Inputs grads) {
           PlaneOptions o = saved.options;
           o.add = true;
           return Tensors{apply(scatter_plane_op, {grads[0], saved.inputs[1]}, o), Tensor()};
         },
     .cpu = gather_cpu}};

// The sizes of the planes: given, else those that the smallest fitting input had.
Extent unpooled_extent(const char* op, const Tensor& x, const Options& o, const Dims& given) {
  Extent sizes{1, 1, 1};
  if (given.given() && given.size() != o.dims && given.size() != o.dims + 2) {
    fail(op, ": output_size must be ", o.dims, " or ", o.dims + 2, " numbers, not ", given.size());
  }
  for (int i = 0; i < o.dims; ++i) {
    const int d = 3 - o.dims + i;
    const int64_t fit = (x.size(i - o.dims) - 1) * o.stride[d] + o.kernel[d] - 2 * o.padding[d];
    sizes[d] = given.given() ? given[given.size() - o.dims + i] : fit;
    const int64_t away = sizes[d] > fit ? sizes[d] - fit : fit - sizes[d];
    if (away >= o.stride[d] && given.given()) {
      fail(op, ": output_size ", sizes[d], " must be between ", fit - o.stride[d], " and ",
           fit + o.stride[d], ", both excluded");
    }
    if (sizes[d] < 0) fail(op, ": the output would have ", sizes[d], " elements in a dimension");
  }
  return sizes;
}

Tensor unpool(const char* op, int dims, const Tensor& x, const Tensor& indices, const Dims& kernel,
              const Dims& stride, const Dims& padding, const Dims& output_size) {
  check_not_block(op, x);
  check_not_complex(op, x);
  if (indices.dtype() != DType::i64) fail(op, ": indices are ", indices, "; they must be i64");
  if (indices.shape() != x.shape()) {
    fail(op, ": input ", x, " and indices ", indices, " differ in shape");
  }
  check_input(op, x, dims);
  Options o{.dims = dims};
  read_sizes(op, "kernel_size", kernel, dims, 1, o.kernel);
  read_sizes(op, "stride", stride.given() ? stride : kernel, dims, 1, o.stride);
  read_sizes(op, "padding", padding, dims, 0, o.padding);
  const Extent sizes = unpooled_extent(op, x, o, output_size);
  return apply(scatter_plane_op, {x, indices}, {dims, sizes, false});
}

}  // namespace

namespace pooling {

Tensor gather_plane(const Tensor& x, const Tensor& indices, int dims) {
  return apply(gather_plane_op, {x, indices}, {dims, extent(x.shape(), dims)});
}
Tensor scatter_plane(const Tensor& x, const Tensor& indices, const Extent& sizes, int dims) {
  return apply(scatter_plane_op, {x, indices}, {dims, sizes});
}

}  // namespace pooling

Tensor max_unpool1d(const Tensor& input, const Tensor& indices, const Dims& kernel_size,
                    const Dims& stride, const Dims& padding, const Dims& output_size) {
  return unpool("max_unpool1d", 1, input, indices, kernel_size, stride, padding, output_size);
}
Tensor max_unpool2d(const Tensor& input, const Tensor& indices, const Dims& kernel_size,
                    const Dims& stride, const Dims& padding, const Dims& output_size) {
  return unpool("max_unpool2d", 2, input, indices, kernel_size, stride, padding, output_size);
}
Tensor max_unpool3d(const Tensor& input, const Tensor& indices, const Dims& kernel_size,
                    const Dims& stride, const Dims& padding, const Dims& output_size) {
  return unpool("max_unpool3d", 3, input, indices, kernel_size, stride, padding, output_size);
}

}  // namespace tallow
