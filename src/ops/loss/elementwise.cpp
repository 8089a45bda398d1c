// The losses that compare element by element, of simpler ops. Where PyTorch has a kernel, half
// types are computed in f32.
#include <cmath>
#include <numbers>

#include "ops/elements.h"
#include "ops/loss/reduction.h"

namespace tallow {

namespace {

Tensor wide(const Tensor& x) {
  return x.dtype() == DType::f16 || x.dtype() == DType::bf16 ? x.to(DType::f32) : x;
}

/// input and target in the type that the loss is computed in; half types come back at the end.
struct Pair {
  const char* op;
  Tensor input, target;
  DType type;

  Pair(const char* name, const Tensor& x, const Tensor& y)
      : op(name), input(wide(x)), target(wide(y)), type(promote(x, y, name)) {}
  Tensor difference() const { return input - target; }
  Tensor narrowed(const Tensor& loss) const {
    return type == DType::f16 || type == DType::bf16 ? loss.to(type) : loss;
  }
  Tensor reduced(const Tensor& loss, std::string_view reduction) const {
    return narrowed(reduce(op, loss, reduction));
  }
};

void check_same(const char* op, const char* what, const Tensor& x, const Tensor& input) {
  if (x.shape() != input.shape())
    fail(op, ": ", what, " is ", x, " but input is ", input, "; they need one shape");
}

/// The mean of weighted losses is over the weights.
Tensor weighted(const Pair& pair, const Tensor& loss, const Tensor& weight,
                std::string_view reduction, bool over_weights) {
  if (!weight.defined()) return pair.reduced(loss, reduction);
  check_same(pair.op, "weight", weight, pair.input);
  const Tensor product = loss * wide(weight);
  if (reduction == "mean" && over_weights) return pair.narrowed(sum(product) / sum(wide(weight)));
  return pair.reduced(product, reduction);
}

// binary_cross_entropy has a gradient of its own: where the logarithms are cut off it stays large.
Specs infer_bce(Inputs in, const NoOptions&) { return {{in[0].shape(), in[0].dtype()}}; }

Tensors bce(Inputs in, const NoOptions&) {
  const Tensor &x = in[0], &t = in[1];
  return {(t - 1.0) * clamp_min(log1p(-x), -100.0) - t * clamp_min(log(x), -100.0)};
}

Tensors bce_vjp(const Saved<NoOptions>& saved, Inputs grads) {
  const Tensor &x = saved.inputs[0], &t = saved.inputs[1], &g = grads[0];
  Tensors result(2);
  if (x.requires_grad()) result[0] = g * (x - t) / clamp_min((1.0 - x) * x, 1e-12);
  if (t.requires_grad()) result[1] = g * (log1p(-x) - log(x));
  return result;
}

constinit Op<> bce_op{"binary_cross_entropy",
                      {.infer = infer_bce, .vjp = bce_vjp, .composite = bce}};

void check_probabilities(const Tensor& x) {
  if (x.numel() == 0) return;
  const double least = amin(x.detach()).item(), most = amax(x.detach()).item();
  if (!(least >= 0 && most <= 1))
    fail("binary_cross_entropy: input has values from ", least, " to ", most,
         "; probabilities are 0 to 1");
}

}  // namespace

Tensor mse_loss(const Tensor& input, const Tensor& target, std::string_view reduction,
                const Tensor& weight) {
  const Pair pair("mse_loss", input, target);
  return weighted(pair, square(pair.difference()), weight, reduction, true);
}

Tensor l1_loss(const Tensor& input, const Tensor& target, std::string_view reduction,
               const Tensor& weight) {
  const Pair pair("l1_loss", input, target);
  return weighted(pair, abs(pair.difference()), weight, reduction, true);
}

Tensor smooth_l1_loss(const Tensor& input, const Tensor& target, std::string_view reduction,
                      double beta) {
  const Pair pair("smooth_l1_loss", input, target);
  if (!(beta >= 0)) fail("smooth_l1_loss: beta is ", beta, "; it needs 0 or more");
  const Tensor d = pair.difference(), size = abs(d);
  if (beta == 0) return pair.reduced(size, reduction);
  return pair.reduced(where(lt(size, beta), square(d) * (0.5 / beta), size - 0.5 * beta),
                      reduction);
}

Tensor huber_loss(const Tensor& input, const Tensor& target, std::string_view reduction,
                  double delta, const Tensor& weight) {
  const Pair pair("huber_loss", input, target);
  if (!(delta > 0)) fail("huber_loss: delta is ", delta, "; it needs more than 0");
  const Tensor d = pair.difference(), size = abs(d);
  const Tensor loss = where(le(size, delta), square(d) * 0.5, (size - 0.5 * delta) * delta);
  return weighted(pair, loss, weight, reduction, false);
}

Tensor binary_cross_entropy(const Tensor& input, const Tensor& target, const Tensor& weight,
                            std::string_view reduction) {
  const Pair pair("binary_cross_entropy", input, target);
  check_same(pair.op, "target", target, input);
  check_probabilities(input);
  Tensor loss = apply(bce_op, {pair.input, pair.target.to(pair.input.dtype())});
  if (weight.defined()) loss = loss * wide(weight);
  return pair.reduced(loss, reduction);
}

Tensor binary_cross_entropy_with_logits(const Tensor& input, const Tensor& target,
                                        const Tensor& weight, std::string_view reduction,
                                        const Tensor& pos_weight) {
  const char* op = "binary_cross_entropy_with_logits";
  check_same(op, "target", target, input);
  Tensor log_p = logsigmoid(input);
  if (pos_weight.defined()) log_p = log_p * ((pos_weight - 1.0) * target + 1.0);
  Tensor loss = (1.0 - target) * input - log_p;
  if (weight.defined()) loss = loss * weight;
  return reduce(op, loss, reduction);
}

Tensor kl_div(const Tensor& input, const Tensor& target, std::string_view reduction,
              bool log_target) {
  const char* op = "kl_div";
  const Tensor &x = input, &t = target;
  const Tensor loss = log_target ? exp(t) * (t - x) : xlogy(t, t) - t * x;
  if (reduction != "batchmean") return reduce(op, loss, reduction);
  const Tensor total = sum(loss);
  if (input.dim() == 0) return total;
  return total / static_cast<double>(input.size(0));
}

Tensor poisson_nll_loss(const Tensor& input, const Tensor& target, bool log_input, bool full,
                        double eps, std::string_view reduction) {
  const char* op = "poisson_nll_loss";
  const Tensor &x = input, &t = target;
  Tensor loss = log_input ? exp(x) - t * x : x - t * log(x + eps);
  if (full) {
    const Tensor stirling = t * log(t) - t + log(t * (2 * std::numbers::pi)) * 0.5;
    loss = loss + where(le(t, 1.0), 0.0, stirling);
  }
  return reduce(op, loss, reduction);
}

Tensor gaussian_nll_loss(const Tensor& input, const Tensor& target, const Tensor& var, bool full,
                         double eps, std::string_view reduction) {
  const char* op = "gaussian_nll_loss";
  if (var.numel() > 0 && amin(var.detach()).item() < 0)
    fail("gaussian_nll_loss: var has negative values; variances are 0 or more");
  Tensor variance = var;
  if (!var.is_number() && var.shape() != input.shape()) {
    Shape shape = var.shape();
    shape.push_back(1);
    Shape without = input.shape();
    if (!without.empty()) without.back() = 1;
    if (shape == without) variance = variance.unsqueeze(-1);
    int differing = variance.dim() == input.dim() ? 0 : 2;
    for (int d = 0; d < input.dim() && differing < 2; ++d) {
      if (variance.size(d) != input.size(d)) differing += variance.size(d) == 1 ? 1 : 2;
    }
    if (differing > 1)
      fail("gaussian_nll_loss: var is ", var, " and input ", input, "; var needs its shape, or 1 ",
           "in one dimension");
  }
  // The gradient goes past the bound.
  variance = variance + (clamp_min(variance, eps) - variance).detach();
  Tensor loss = (log(variance) + square((input - target)) / variance) * 0.5;
  if (full) loss = loss + 0.5 * std::log(2 * std::numbers::pi);
  return reduce(op, loss, reduction);
}

Tensor soft_margin_loss(const Tensor& input, const Tensor& target, std::string_view reduction) {
  const char* op = "soft_margin_loss";
  return reduce(op, log1p(exp(-target * input)), reduction);
}

Tensor hinge_embedding_loss(const Tensor& input, const Tensor& target, double margin,
                            std::string_view reduction) {
  const char* op = "hinge_embedding_loss";
  const Tensor far = where(ne(target, 1), clamp_min(margin - input, 0.0), 0.0);
  const Tensor near = where(ne(target, -1), input, 0.0);
  return reduce(op, far + near, reduction);
}

Tensor multilabel_soft_margin_loss(const Tensor& input, const Tensor& target, const Tensor& weight,
                                   std::string_view reduction) {
  const char* op = "multilabel_soft_margin_loss";
  if (input.dim() == 0) fail(op, ": input is ", input, "; it needs [..., C]");
  const Tensor &x = input, &t = target;
  Tensor loss = -(t * logsigmoid(x) + (1.0 - t) * logsigmoid(-x));
  if (weight.defined()) loss = loss * weight;
  loss = sum(loss, -1) / static_cast<double>(input.shape().back());
  return reduce(op, loss, reduction);
}

}  // namespace tallow
