// Creation, from values and at random. A dtype that is not given is the default one for numbers
// with a fraction, i64 for integers and bool for truth values, as PyTorch's.
#pragma once

#include "tallow/op.h"
#include "tallow/random.h"
#include "tallow/tensor.h"

namespace tallow {

Tensor zeros(const Shape& size, std::optional<DType> dtype = {}, Device device = cpu_device);
Tensor ones(const Shape& size, std::optional<DType> dtype = {}, Device device = cpu_device);
/// The dtype is that of `fill_value` where none is given.
Tensor full(const Shape& size, const Scalar& fill_value, std::optional<DType> dtype = {},
            Device device = cpu_device);
/// Elements that were not written yet.
Tensor empty(const Shape& size, std::optional<DType> dtype = {}, Device device = cpu_device);
/// The same with strides of one's choice, counted in elements.
Tensor empty_strided(const Shape& size, const Shape& stride, std::optional<DType> dtype = {},
                     Device device = cpu_device);
/// The same whose dimension `physical_layout[0]` is the outermost in memory, and so on.
Tensor empty_permuted(const Shape& size, const Dims& physical_layout,
                      std::optional<DType> dtype = {}, Device device = cpu_device);
Tensor zeros_like(const Tensor& input, std::optional<DType> dtype = {},
                  std::optional<Device> device = {});
Tensor ones_like(const Tensor& input, std::optional<DType> dtype = {},
                 std::optional<Device> device = {});
Tensor full_like(const Tensor& input, const Scalar& fill_value, std::optional<DType> dtype = {},
                 std::optional<Device> device = {});
Tensor empty_like(const Tensor& input, std::optional<DType> dtype = {},
                  std::optional<Device> device = {});
/// Every element of self replaced by `value`, a number or a 0-dimensional tensor.
Tensor fill(const Tensor& self, const Tensor& value);
/// A 0-dimensional tensor.
Tensor scalar_tensor(const Scalar& s, std::optional<DType> dtype = {}, Device device = cpu_device);

/// 0, 1, ... below `end`.
Tensor arange(const Scalar& end, std::optional<DType> dtype = {}, Device device = cpu_device);
/// start, start + step, ... before `end`. Throws Error for a step of 0 or away from `end`.
Tensor arange(const Scalar& start, const Scalar& end, const Scalar& step = 1,
              std::optional<DType> dtype = {}, Device device = cpu_device);
/// start, start + step, ... up to and including `end`.
Tensor range(const Scalar& start, const Scalar& end, const Scalar& step = 1,
             std::optional<DType> dtype = {}, Device device = cpu_device);
/// `steps` values at equal distances from start to end, both included; numbers or 0-dimensional
/// tensors.
Tensor linspace(const Tensor& start, const Tensor& end, int64_t steps,
                std::optional<DType> dtype = {}, Device device = cpu_device);
/// base raised to each value of linspace(start, end, steps).
Tensor logspace(const Tensor& start, const Tensor& end, int64_t steps, double base = 10.0,
                std::optional<DType> dtype = {}, Device device = cpu_device);
/// The identity matrix [n, m]; square where m is not given.
Tensor eye(int64_t n, std::optional<int64_t> m = {}, std::optional<DType> dtype = {},
           Device device = cpu_device);
/// Row and column numbers [2, count] of the elements of a [row, col] matrix on and below the
/// diagonal `offset`.
Tensor tril_indices(int64_t row, int64_t col, int64_t offset = 0, std::optional<DType> dtype = {},
                    Device device = cpu_device);
/// The same on and above the diagonal.
Tensor triu_indices(int64_t row, int64_t col, int64_t offset = 0, std::optional<DType> dtype = {},
                    Device device = cpu_device);
/// Powers of the elements of x [n], a row each: [n, N] (N = n where not given), falling unless
/// `increasing`.
Tensor vander(const Tensor& x, std::optional<int64_t> N = {}, bool increasing = false);

/// Grids of coordinates from 1-dimensional tensors; indexing is "ij" or "xy".
Tensors meshgrid(const Tensors& tensors, std::string_view indexing = "ij");
/// All tuples that take one element of each 1-dimensional tensor: [count, tensors].
Tensor cartesian_prod(const Tensors& tensors);
/// All sets of r elements of input [n]: [count, r].
Tensor combinations(const Tensor& input, int64_t r = 2, bool with_replacement = false);
/// The matrices along the diagonal of one, zeros elsewhere.
Tensor block_diag(const Tensors& tensors);

// Random numbers come from `generator`, else from the global one that manual_seed seeds. They are
// the same on every device and for every number of threads.

/// Uniform in [0, 1).
Tensor rand(const Shape& size, std::optional<Generator> generator = {},
            std::optional<DType> dtype = {}, Device device = cpu_device);
/// Normal with mean 0 and variance 1.
Tensor randn(const Shape& size, std::optional<Generator> generator = {},
             std::optional<DType> dtype = {}, Device device = cpu_device);
/// Integers in [0, high), i64 unless said.
Tensor randint(int64_t high, const Shape& size, std::optional<Generator> generator = {},
               std::optional<DType> dtype = {}, Device device = cpu_device);
/// Integers in [low, high).
Tensor randint(int64_t low, int64_t high, const Shape& size,
               std::optional<Generator> generator = {}, std::optional<DType> dtype = {},
               Device device = cpu_device);
/// The integers below n in random order.
Tensor randperm(int64_t n, std::optional<Generator> generator = {}, std::optional<DType> dtype = {},
                Device device = cpu_device);
Tensor rand_like(const Tensor& input, std::optional<Generator> generator = {},
                 std::optional<DType> dtype = {}, std::optional<Device> device = {});
Tensor randn_like(const Tensor& input, std::optional<Generator> generator = {},
                  std::optional<DType> dtype = {}, std::optional<Device> device = {});
Tensor randint_like(const Tensor& input, int64_t high, std::optional<Generator> generator = {},
                    std::optional<DType> dtype = {}, std::optional<Device> device = {});
Tensor randint_like(const Tensor& input, int64_t low, int64_t high,
                    std::optional<Generator> generator = {}, std::optional<DType> dtype = {},
                    std::optional<Device> device = {});
/// 0 or 1, 1 with the probability that self holds. Throws Error for one outside [0, 1].
Tensor bernoulli(const Tensor& self, std::optional<Generator> generator = {});
/// 0 or 1 in self's shape and dtype, 1 with probability p (a number, or a tensor that broadcasts).
Tensor bernoulli(const Tensor& self, const Tensor& p, std::optional<Generator> generator = {});
/// Indices drawn in proportion to the rows of self [n] or [rows, n]: i64 [..., num_samples].
Tensor multinomial(const Tensor& self, int64_t num_samples, bool replacement = false,
                   std::optional<Generator> generator = {});
/// Normal numbers of one mean and standard deviation.
Tensor normal(double mean, double std, const Shape& size, std::optional<Generator> generator = {},
              std::optional<DType> dtype = {}, Device device = cpu_device);
/// Normal numbers, each with its mean and standard deviation.
Tensor normal(const Tensor& mean, const Tensor& std = 1.0, std::optional<Generator> generator = {});
/// Counts with the rates that self holds.
Tensor poisson(const Tensor& self, std::optional<Generator> generator = {});

// Draws in the shape and dtype of `input`: what the methods x.normal_() and the like are made of.
Tensor uniform_like(const Tensor& input, double from = 0, double to = 1,
                    std::optional<Generator> generator = {});
Tensor normal_like(const Tensor& input, double mean = 0, double std = 1,
                   std::optional<Generator> generator = {});
Tensor log_normal_like(const Tensor& input, double mean = 1, double std = 2,
                       std::optional<Generator> generator = {});
Tensor exponential_like(const Tensor& input, double lambd = 1,
                        std::optional<Generator> generator = {});
Tensor cauchy_like(const Tensor& input, double median = 0, double sigma = 1,
                   std::optional<Generator> generator = {});
/// Trials up to the first success of probability p.
Tensor geometric_like(const Tensor& input, double p, std::optional<Generator> generator = {});
/// Integers in [from, to); by default all that the dtype holds exactly and are not negative.
Tensor random_like(const Tensor& input, int64_t from = 0, std::optional<int64_t> to = {},
                   std::optional<Generator> generator = {});

}  // namespace tallow
