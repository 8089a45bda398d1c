// The losses of torch.nn.functional. `reduction` is "mean" (over all elements, or as said), "sum"
// or "none"; anything else throws Error.
#pragma once

#include "tallow/op.h"
#include "tallow/tensor.h"

namespace tallow {

/// -log softmax(input)[target], of logits input [C], [N, C] or [N, C, d1, ...]. target are classes,
/// input's shape without C, or probabilities of input's shape. weight [C] counts classes; elements
/// of ignore_index count nothing; label_smoothing spreads that share of the target over all
/// classes. The mean is weighted. Throws IndexError for a class outside [0, C).
Tensor cross_entropy(const Tensor& input, const Tensor& target, const Tensor& weight = {},
                     int64_t ignore_index = -100, std::string_view reduction = "mean",
                     double label_smoothing = 0.0);
/// -input[target] of log probabilities input: as cross_entropy otherwise.
Tensor nll_loss(const Tensor& input, const Tensor& target, const Tensor& weight = {},
                int64_t ignore_index = -100, std::string_view reduction = "mean");
/// Connectionist temporal classification: -log of the probability of targets under log_probs
/// [T, N, C] or [T, C]. targets [N, S] (padded) or the concatenation of all, of lengths
/// target_lengths [N]; input_lengths [N]. zero_infinity: 0 for targets that do not fit. The mean is
/// that of each loss over its target's length. Graves et al. 2006.
Tensor ctc_loss(const Tensor& log_probs, const Tensor& targets, const Tensor& input_lengths,
                const Tensor& target_lengths, int64_t blank = 0,
                std::string_view reduction = "mean", bool zero_infinity = false);
/// The same with the lengths as lists of numbers.
Tensor ctc_loss(const Tensor& log_probs, const Tensor& targets, const Tensors& input_lengths,
                const Tensors& target_lengths, int64_t blank = 0,
                std::string_view reduction = "mean", bool zero_infinity = false);

/// (input - target)^2, times weight.
Tensor mse_loss(const Tensor& input, const Tensor& target, std::string_view reduction = "mean",
                const Tensor& weight = {});
/// |input - target|, times weight.
Tensor l1_loss(const Tensor& input, const Tensor& target, std::string_view reduction = "mean",
               const Tensor& weight = {});
/// Quadratic below beta, linear above: d^2 / (2 beta), |d| - beta / 2. Girshick 2015.
Tensor smooth_l1_loss(const Tensor& input, const Tensor& target,
                      std::string_view reduction = "mean", double beta = 1.0);
/// d^2 / 2 below delta, delta (|d| - delta / 2) above. Huber 1964.
Tensor huber_loss(const Tensor& input, const Tensor& target, std::string_view reduction = "mean",
                  double delta = 1.0, const Tensor& weight = {});
/// -(target log input + (1 - target) log(1 - input)) of probabilities; logs are at least -100.
Tensor binary_cross_entropy(const Tensor& input, const Tensor& target, const Tensor& weight = {},
                            std::string_view reduction = "mean");
/// The same of logits; pos_weight counts positive targets.
Tensor binary_cross_entropy_with_logits(const Tensor& input, const Tensor& target,
                                        const Tensor& weight = {},
                                        std::string_view reduction = "mean",
                                        const Tensor& pos_weight = {});
/// target (log target - input) of log probabilities input; with log_target target is one too.
/// Reduction "batchmean" divides the sum by the first size.
Tensor kl_div(const Tensor& input, const Tensor& target, std::string_view reduction = "mean",
              bool log_target = false);
/// exp(input) - target input (log_input), or input - target log(input + eps); `full` adds
/// Stirling's approximation for targets above 1.
Tensor poisson_nll_loss(const Tensor& input, const Tensor& target, bool log_input = true,
                        bool full = false, double eps = 1e-8, std::string_view reduction = "mean");
/// (log var + (input - target)^2 / var) / 2, var at least eps; `full` adds log(2 pi) / 2.
/// Nix and Weigend 1994.
Tensor gaussian_nll_loss(const Tensor& input, const Tensor& target, const Tensor& var,
                         bool full = false, double eps = 1e-6, std::string_view reduction = "mean");
/// log(1 + exp(-target input)), target 1 or -1.
Tensor soft_margin_loss(const Tensor& input, const Tensor& target,
                        std::string_view reduction = "mean");
/// input where target is 1, max(0, margin - input) where it is -1.
Tensor hinge_embedding_loss(const Tensor& input, const Tensor& target, double margin = 1.0,
                            std::string_view reduction = "mean");
/// 1 - cos(input1, input2) where target is 1, max(0, cos - margin) where it is -1: inputs [N, D] or
/// [D].
Tensor cosine_embedding_loss(const Tensor& input1, const Tensor& input2, const Tensor& target,
                             double margin = 0.0, std::string_view reduction = "mean");
/// max(0, margin - target (input1 - input2)).
Tensor margin_ranking_loss(const Tensor& input1, const Tensor& input2, const Tensor& target,
                           double margin = 0.0, std::string_view reduction = "mean");
/// max(0, |anchor - positive|_p - |anchor - negative|_p + margin) over the last dimension; `swap`
/// takes the smaller of the negative's distances to both. Balntas et al. 2016.
Tensor triplet_margin_loss(const Tensor& anchor, const Tensor& positive, const Tensor& negative,
                           double margin = 1.0, double p = 2, double eps = 1e-6, bool swap = false,
                           std::string_view reduction = "mean");
/// sum over c of max(0, margin - input[target] + input[c])^p weight[target] / C: input [N, C] or
/// [C].
Tensor multi_margin_loss(const Tensor& input, const Tensor& target, int64_t p = 1,
                         double margin = 1.0, const Tensor& weight = {},
                         std::string_view reduction = "mean");
/// sum over targets t and other classes c of max(0, 1 - (input[t] - input[c])) / C: target [N, C]
/// or [C] lists classes, ended by -1.
Tensor multilabel_margin_loss(const Tensor& input, const Tensor& target,
                              std::string_view reduction = "mean");
/// The mean over classes of binary cross entropy of logits, [N, C]: [N].
Tensor multilabel_soft_margin_loss(const Tensor& input, const Tensor& target,
                                   const Tensor& weight = {}, std::string_view reduction = "mean");

}  // namespace tallow
