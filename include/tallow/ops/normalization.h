// Softmax and the normalization layers.
#pragma once

#include "tallow/op.h"
#include "tallow/tensor.h"

namespace tallow {

/// exp(x) / sum(exp(x)) along `dim`; `dtype` is what self is converted to first.
Tensor softmax(const Tensor& self, int64_t dim, std::optional<DType> dtype = {});
/// log(softmax(self)), computed without underflow.
Tensor log_softmax(const Tensor& self, int64_t dim, std::optional<DType> dtype = {});
/// softmax(-input)
Tensor softmin(const Tensor& input, int64_t dim, std::optional<DType> dtype = {});

/// (x - mean) / sqrt(var + eps) * weight + bias over the last dimensions, which are
/// `normalized_shape`. Ba, Kiros and Hinton, 2016 (arXiv 1607.06450).
Tensor layer_norm(const Tensor& input, const Shape& normalized_shape, const Tensor& weight = {},
                  const Tensor& bias = {}, double eps = 1e-5);
/// As layer_norm; also gives the mean and 1 / sqrt(var + eps) of each row.
Tensors native_layer_norm(const Tensor& input, const Shape& normalized_shape,
                          const Tensor& weight = {}, const Tensor& bias = {}, double eps = 1e-5);
/// x / sqrt(mean(x^2) + eps) * weight over the last dimensions, which are `normalized_shape`. eps
/// is that of the dtype unless given. Zhang and Sennrich, 2019 (arXiv 1910.07467).
Tensor rms_norm(const Tensor& input, const Shape& normalized_shape, const Tensor& weight = {},
                std::optional<double> eps = {});
/// Each channel of input [n, channels, ..] normalized by its own mean and variance, or by the
/// running ones where `training` is false; else those move by `momentum`, in place. Ioffe and
/// Szegedy, 2015 (arXiv 1502.03167).
Tensor batch_norm(const Tensor& input, const Tensor& running_mean = {},
                  const Tensor& running_var = {}, const Tensor& weight = {},
                  const Tensor& bias = {}, bool training = false, double momentum = 0.1,
                  double eps = 1e-5);
/// As batch_norm; also gives the mean and 1 / sqrt(var + eps) of each channel (of training).
Tensors native_batch_norm(const Tensor& input, const Tensor& weight = {}, const Tensor& bias = {},
                          const Tensor& running_mean = {}, const Tensor& running_var = {},
                          bool training = false, double momentum = 0.1, double eps = 1e-5);
/// Each of num_groups groups of channels of input [n, channels, ..] normalized by itself. Wu and
/// He, 2018 (arXiv 1803.08494).
Tensor group_norm(const Tensor& input, int64_t num_groups, const Tensor& weight = {},
                  const Tensor& bias = {}, double eps = 1e-5);
/// As group_norm of `group` groups; also gives the mean and 1 / sqrt(var + eps) of each. input is
/// [N, C, ..] with HxW elements in a channel.
Tensors native_group_norm(const Tensor& input, const Tensor& weight = {}, const Tensor& bias = {},
                          int64_t N = 1, int64_t C = 1, int64_t HxW = 1, int64_t group = 1,
                          double eps = 1e-5);
/// Each channel of each element of input [n, channels, ..] normalized by itself, or by the running
/// statistics where use_input_stats is false.
Tensor instance_norm(const Tensor& input, const Tensor& running_mean = {},
                     const Tensor& running_var = {}, const Tensor& weight = {},
                     const Tensor& bias = {}, bool use_input_stats = true, double momentum = 0.1,
                     double eps = 1e-5);
/// x / (k + alpha * mean(x^2))^beta, the mean over `size` neighbouring channels of [n, channels,
/// ..]. Krizhevsky et al., 2012.
Tensor local_response_norm(const Tensor& input, int64_t size, double alpha = 1e-4,
                           double beta = 0.75, double k = 1);

/// x / max(norm(x, p), eps) along `dim`.
Tensor normalize(const Tensor& input, double p = 2, int64_t dim = 1, double eps = 1e-12);
/// The cosine of the angle between x1 and x2 along `dim`; norms count as eps at least.
Tensor cosine_similarity(const Tensor& x1, const Tensor& x2, int64_t dim = 1, double eps = 1e-8);
/// norm(x1 - x2 + eps, p) over the last dimension.
Tensor pairwise_distance(const Tensor& x1, const Tensor& x2, double p = 2, double eps = 1e-6,
                         bool keepdim = false);

}  // namespace tallow
