// The losses with margins between classes or between embeddings.
#include <vector>

#include "ops/elements.h"
#include "ops/loss/reduction.h"

namespace tallow {

namespace {

Tensor wide(const Tensor& x) {
  return x.dtype() == DType::f16 || x.dtype() == DType::bf16 ? x.to(DType::f32) : x;
}

/// input [N, C] or [C] as [N, C].
Tensor class_rows(const char* op, const Tensor& input) {
  if (!is_real(input.dtype())) fail(op, ": input is ", input, "; call .to(f32)");
  const bool fits = input.dim() == 1 || input.dim() == 2 || (input.dim() == 0);
  if (!fits || (input.dim() > 0 && input.shape().back() == 0))
    fail(op, ": input is ", input, "; it needs [N, C] or [C]");
  return input.dim() == 2 ? input : input.reshape({1, -1});
}

int64_t class_at(const char* op, const Tensor& target, int64_t i, int64_t classes) {
  const int64_t c = target.data<int64_t>()[i];
  if (c < 0 || c >= classes)
    fail_index(op, ": target ", c, " is out of bounds; classes are 0 to ", classes - 1);
  return c;
}

/// Counts [N, C] for each row's class, and the class's weight [N, 1].
struct Chosen {
  Tensor is_target, weight;
};

Chosen choose(const Tensor& target, const Tensor& weight, const Tensor& x) {
  const char* op = "multi_margin_loss";
  const int64_t rows = x.size(0), classes = x.size(1);
  const Tensor labels = target.to(DType::i64).contiguous();
  Chosen chosen{Tensor::zeros(x.shape(), DType::f64), Tensor::full({rows, 1}, 1, DType::f64)};
  const Tensor weights = weight.defined() ? weight.detach().to(DType::f64).contiguous() : Tensor();
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t c = class_at(op, labels, i, classes);
    chosen.is_target.data<double>()[i * classes + c] = 1;
    if (weights.defined()) chosen.weight.data<double>()[i] = weights.data<double>()[c];
  }
  return {chosen.is_target.to(x.dtype()), chosen.weight.to(x.dtype())};
}

/// How often each class is listed in a row before -1, [N, C].
Tensor count_listed(const Tensor& target, const Tensor& x) {
  const char* op = "multilabel_margin_loss";
  const int64_t rows = x.size(0), classes = x.size(1);
  const Tensor labels = target.to(DType::i64).contiguous();
  Tensor counts = Tensor::zeros(x.shape(), DType::f64);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < classes && labels.data<int64_t>()[i * classes + j] >= 0; ++j) {
      const int64_t c = class_at(op, labels, i * classes + j, classes);
      counts.data<double>()[i * classes + c] += 1;
    }
  }
  return counts.to(x.dtype());
}

Tensor distance(const Tensor& a, const Tensor& b, double p, double eps) {
  return norm(a - b + eps, p, -1);
}

}  // namespace

Tensor margin_ranking_loss(const Tensor& input1, const Tensor& input2, const Tensor& target,
                           double margin, std::string_view reduction) {
  const char* op = "margin_ranking_loss";
  if (input1.dim() != input2.dim() || input1.dim() != target.dim())
    fail(op, ": input1 ", input1, ", input2 ", input2, " and target ", target,
         " differ in dimensions");
  const Tensor behind = -target * (input1 - input2);
  return reduce(op, clamp_min(behind + margin, 0.0), reduction);
}

Tensor cosine_embedding_loss(const Tensor& input1, const Tensor& input2, const Tensor& target,
                             double margin, std::string_view reduction) {
  const char* op = "cosine_embedding_loss";
  const int dims = target.dim();
  if (dims > 1) fail(op, ": target is ", target, "; it needs [N], or none with inputs of [D]");
  if (input1.dim() != dims + 1 || input2.dim() != dims + 1)
    fail(op, ": input1 ", input1, " and input2 ", input2, " do not fit target ", target,
         "; they need [N, D] with [N], or [D]");
  constexpr double kEps = 1e-12;
  const Tensor &a = input1, &b = input2;
  const Tensor sizes = (sum(a * a, dims) + kEps) * (sum(b * b, dims) + kEps);
  const Tensor cosine = sum(a * b, dims) / sqrt(sizes);
  const Tensor loss = where(eq(target, 1), 1.0 - cosine, 0.0) +
                      where(eq(target, -1), clamp_min(cosine - margin, 0.0), 0.0);
  return reduce(op, loss, reduction);
}

Tensor triplet_margin_loss(const Tensor& anchor, const Tensor& positive, const Tensor& negative,
                           double margin, double p, double eps, bool swap,
                           std::string_view reduction) {
  const char* op = "triplet_margin_loss";
  if (!(margin > 0)) fail(op, ": margin is ", margin, "; it needs more than 0");
  if (anchor.dim() != positive.dim() || anchor.dim() != negative.dim())
    fail(op, ": anchor ", anchor, ", positive ", positive, " and negative ", negative,
         " differ in dimensions");
  const Tensor &a = anchor, &b = positive, &c = negative;
  const Tensor near = distance(a, b, p, eps);
  Tensor far = distance(a, c, p, eps);
  if (swap) far = minimum(far, distance(b, c, p, eps));
  return reduce(op, clamp_min(near + margin - far, 0.0), reduction);
}

Tensor multi_margin_loss(const Tensor& input, const Tensor& target, int64_t p, double margin,
                         const Tensor& weight, std::string_view reduction) {
  const char* op = "multi_margin_loss";
  const Tensor x = wide(class_rows(op, input));
  if (p != 1 && p != 2) fail(op, ": p is ", p, "; it needs 1 or 2");
  if (target.dim() > 1 || target.numel() != x.size(0))
    fail(op, ": target ", target, " does not fit input ", input, "; it needs [", x.size(0), "]");
  if (weight.defined() && (weight.dim() != 1 || weight.size(0) != x.size(1)))
    fail(op, ": weight is ", weight, "; it needs [", x.size(1), "]");
  const Chosen chosen = choose(target, weight, x);
  const Tensor own = sum(x * chosen.is_target, 1, true);
  Tensor over = clamp_min(x - own + margin, 0.0) * (1.0 - chosen.is_target);
  if (p == 2) over = square(over);
  Tensor loss = sum(over * chosen.weight, 1) / static_cast<double>(x.size(1));
  if (reduction == "none" && input.dim() < 2 && target.dim() == 0) loss = loss.squeeze(0);
  return reduce(op, loss, reduction).to(input.dtype());
}

Tensor multilabel_margin_loss(const Tensor& input, const Tensor& target,
                              std::string_view reduction) {
  const char* op = "multilabel_margin_loss";
  const Tensor x = wide(class_rows(op, input));
  if (target.numel() != input.numel() || target.dim() > 2)
    fail(op, ": target ", target, " does not fit input ", input, "; they need one shape");
  const Tensor counts = count_listed(target, x), others = eq(counts, 0).to(x.dtype());
  // [N, targets, classes]
  const Tensor over = clamp_min(x.unsqueeze(1) - x.unsqueeze(2) + 1.0, 0.0);
  const Tensor used = over * counts.unsqueeze(2) * others.unsqueeze(1);
  Tensor loss = sum(used, {1, 2}) / static_cast<double>(x.size(1));
  if (reduction == "none" && input.dim() < 2) loss = loss.squeeze(0);
  return reduce(op, loss, reduction).to(input.dtype());
}

}  // namespace tallow
