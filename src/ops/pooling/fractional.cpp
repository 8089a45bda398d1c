// Fractional max pooling: windows whose starts a random number per plane and dimension places.
#include <limits>

#include "ops/elements.h"
#include "ops/pooling/max_pool.h"
#include "tallow/ops.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

using namespace pooling;

struct FractionalOptions {
  int dims;
  int64_t kernel[3], sizes[3];
};

// Inputs: x, and samples [batch, channels, dims] in the dtype of x.
Specs infer(Inputs in, const FractionalOptions& o) {
  const Extent sizes{o.sizes[0], o.sizes[1], o.sizes[2]};
  const Shape out = with_extent(in[0].shape(), sizes, o.dims);
  return {{out, in[0].dtype()}, {out, DType::i64}};
}

// PyTorch's generate_intervals.
template <class T>
std::vector<Window> placed(T sample, int64_t input, int64_t output, int64_t kernel) {
  std::vector<Window> result;
  const T alpha =
      output > 1 ? static_cast<T>(input - kernel) / static_cast<T>(output - 1) : static_cast<T>(0);
  for (int64_t i = 0; i < output; ++i) {
    const auto begin = static_cast<int64_t>((static_cast<T>(i) + sample) * alpha);
    int64_t start = begin - static_cast<int64_t>(sample * alpha);
    if (i == output - 1) start = input - kernel;
    start = std::clamp<int64_t>(start, 0, input - kernel);
    result.push_back({start, start + kernel, 1, kernel});
  }
  return result;
}

void cpu(Inputs in, Outputs out, const FractionalOptions& o) {
  const Tensor& x = in[0];
  const Extent from = extent(x.shape(), o.dims), to = extent(out[0].shape(), o.dims);
  const int64_t planes = plane_count(x.shape(), o.dims), n = volume(from), m = volume(to);
  with_compute_type(compute_type(x.dtype()), [&]<class T>(T) {
    const ElementReader<T> reader(x, x.shape()), samples(in[1], in[1].shape());
    parallel_for(planes, std::max<int64_t>(1, 16384 / n), [&](int64_t begin, int64_t end, int) {
      std::vector<T> plane(static_cast<size_t>(n)), values(static_cast<size_t>(m));
      for (int64_t p = begin; p < end; ++p) {
        T held[3];
        const T* sample = samples.read(p * o.dims, o.dims, held);
        PlaneWindows w;
        for (int d = 0; d < 3; ++d) {
          // Of images the first sample is the width's, of volumes the depth's.
          const int own = o.dims == 2 ? 2 - d : d;
          const T s = d < 3 - o.dims ? T(0) : sample[own];
          w.along[d] = placed(s, from[d], to[d], o.kernel[d]);
        }
        T* target = element_target(out[0], p * m, values.data());
        max_of_plane(reader.read(p * n, n, plane.data()), from, w, target,
                     out[1].data<int64_t>() + p * m);
        write_elements(out[0], p * m, m, target);
      }
    });
  });
}

Tensors vjp(const Saved<FractionalOptions>& saved, Inputs grads) {
  const int dims = saved.options.dims;
  const Extent sizes = extent(saved.inputs[0].shape(), dims);
  return {scatter_plane(grads[0], saved.outputs[1], sizes, dims), Tensor()};
}

constinit Op<FractionalOptions> fractional_op{
    "fractional_max_pool",
    {.infer = infer, .vjp = vjp, .cpu = cpu, .save_outputs = true, .shapes_only = true}};

void read_output(const char* op, const Tensor& x, const Dims& size, const Reals& ratio,
                 FractionalOptions& o) {
  if (size.given() == ratio.given()) {
    fail(op, ": exactly one of output_size and output_ratio must be given");
  }
  if (size.given()) return read_sizes(op, "output_size", size, o.dims, 1, o.sizes);
  if (ratio.size() != 1 && ratio.size() != o.dims) {
    fail(op, ": output_ratio must be one number or ", o.dims, ", not ", ratio.size());
  }
  for (int i = 0; i < o.dims; ++i) {
    const double share = ratio[ratio.size() == 1 ? 0 : i];
    if (!(share > 0 && share < 1)) fail(op, ": output_ratio ", share, " must be between 0 and 1");
    const int64_t input = x.size(i - o.dims);
    o.sizes[3 - o.dims + i] = static_cast<int64_t>(static_cast<double>(input) * share);
  }
}

ValuesIndices pool(const char* op, int dims, const Tensor& x, const Dims& kernel, const Dims& size,
                   const Reals& ratio, const Tensor& given) {
  if (!is_real(x.dtype())) fail(op, ": input is ", x, "; call .to(f32) first");
  check_input(op, x, dims);
  FractionalOptions o{dims, {1, 1, 1}, {1, 1, 1}};
  read_sizes(op, "kernel_size", kernel, dims, 1, o.kernel);
  read_output(op, x, size, ratio, o);
  const Extent input = extent(x.shape(), dims);
  for (int d = 3 - dims; d < 3; ++d) {
    if (o.sizes[d] < 1 || o.sizes[d] + o.kernel[d] - 1 > input[d]) {
      fail(op, ": ", o.sizes[d], " windows of ", o.kernel[d], " do not fit into ", input[d],
           " elements");
    }
  }
  const Shape wanted{x.dim() == dims + 2 ? x.shape()[0] : 1, x.size(-dims - 1), dims};
  const Tensor samples = given ? given : rand(wanted, {}, x.dtype());
  if (samples.shape() != wanted || samples.dtype() != x.dtype()) {
    fail(op, ": _random_samples is ", samples, "; it must be ", x.dtype(), " ", wanted);
  }
  const Tensor in[] = {x, samples};
  const auto out = apply_many(fractional_op, in, o);
  return {out[0], out[1]};
}

}  // namespace

ValuesIndices fractional_max_pool2d_with_indices(const Tensor& input, const Dims& kernel_size,
                                                 const Dims& output_size, const Reals& output_ratio,
                                                 const Tensor& _random_samples) {
  return pool("fractional_max_pool2d", 2, input, kernel_size, output_size, output_ratio,
              _random_samples);
}
ValuesIndices fractional_max_pool3d_with_indices(const Tensor& input, const Dims& kernel_size,
                                                 const Dims& output_size, const Reals& output_ratio,
                                                 const Tensor& _random_samples) {
  return pool("fractional_max_pool3d", 3, input, kernel_size, output_size, output_ratio,
              _random_samples);
}
Tensor fractional_max_pool2d(const Tensor& input, const Dims& kernel_size, const Dims& output_size,
                             const Reals& output_ratio, const Tensor& _random_samples) {
  return fractional_max_pool2d_with_indices(input, kernel_size, output_size, output_ratio,
                                            _random_samples)
      .values;
}
Tensor fractional_max_pool3d(const Tensor& input, const Dims& kernel_size, const Dims& output_size,
                             const Reals& output_ratio, const Tensor& _random_samples) {
  return fractional_max_pool3d_with_indices(input, kernel_size, output_size, output_ratio,
                                            _random_samples)
      .values;
}

}  // namespace tallow
