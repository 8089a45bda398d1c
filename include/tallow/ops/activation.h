// The activations of torch.nn.functional. Where there is `inplace`, the result is written over the
// input and returned.
#pragma once

#include <string_view>

#include "tallow/op.h"
#include "tallow/tensor.h"

namespace tallow {

/// max(x, 0).
Tensor relu(const Tensor& self, bool inplace = false);
/// min(max(x, 0), 6).
Tensor relu6(const Tensor& input, bool inplace = false);
/// x above 0, alpha (e^x - 1) below. Clevert et al. 2015.
Tensor elu(const Tensor& input, double alpha = 1.0, bool inplace = false);
/// Klambauer et al. 2017.
Tensor selu(const Tensor& input, bool inplace = false);
/// x above 0, alpha (e^(x / alpha) - 1) below. Barron 2017.
Tensor celu(const Tensor& input, double alpha = 1.0, bool inplace = false);
/// x times the normal distribution's cumulative; approximate is "none" or "tanh". Hendrycks and
/// Gimpel 2016.
Tensor gelu(const Tensor& input, std::string_view approximate = "none");
/// x sigmoid(x).
Tensor silu(const Tensor& input, bool inplace = false);
/// x tanh(softplus(x)). Misra 2019.
Tensor mish(const Tensor& input, bool inplace = false);
/// log(1 + e^(beta x)) / beta; x itself where beta x exceeds the threshold.
Tensor softplus(const Tensor& input, double beta = 1, double threshold = 20);
/// x / (1 + |x|).
Tensor softsign(const Tensor& input);
/// x moved by lambd towards 0, and 0 within. Throws Error for a negative lambd.
Tensor softshrink(const Tensor& input, double lambd = 0.5);
/// x, but 0 within [-lambd, lambd].
Tensor hardshrink(const Tensor& input, double lambd = 0.5);
/// x - tanh(x).
Tensor tanhshrink(const Tensor& input);
/// min(max(x, min_val), max_val). Throws Error where min_val exceeds max_val.
Tensor hardtanh(const Tensor& input, double min_val = -1.0, double max_val = 1.0,
                bool inplace = false);
/// relu6(x + 3) / 6.
Tensor hardsigmoid(const Tensor& input, bool inplace = false);
/// x relu6(x + 3) / 6. Howard et al. 2019.
Tensor hardswish(const Tensor& input, bool inplace = false);
/// x above 0, negative_slope x below.
Tensor leaky_relu(const Tensor& input, double negative_slope = 0.01, bool inplace = false);
/// x above 0, weight x below: a weight of one element, or one for each of input's channels
/// [n, channels, ...]. He et al. 2015.
Tensor prelu(const Tensor& self, const Tensor& weight);
/// leaky_relu of slopes drawn from [lower, upper) for each element, or of their mean unless
/// training. Xu et al. 2015.
Tensor rrelu(const Tensor& self, double lower = 0.125, double upper = 0.3333333333333333,
             bool training = false, bool inplace = false);
/// x where it exceeds the threshold, else `value`.
Tensor threshold(const Tensor& input, double threshold, double value, bool inplace = false);
/// log(sigmoid(x)).
Tensor logsigmoid(const Tensor& input);
/// a sigmoid(b) of the halves a and b along dim. Dauphin et al. 2016.
Tensor glu(const Tensor& input, int64_t dim = -1);
/// 1 / (1 + e^-x).
Tensor sigmoid(const Tensor& self);
/// softmax((logits + Gumbel noise) / tau) along dim; with `hard`, one-hot with the gradient of the
/// soft one. Jang et al. 2016.
Tensor gumbel_softmax(const Tensor& logits, double tau = 1, bool hard = false, double eps = 1e-10,
                      int64_t dim = -1);

}  // namespace tallow
