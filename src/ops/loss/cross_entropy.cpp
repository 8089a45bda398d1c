// cross_entropy and nll_loss: one op each over [outer, C, inner], whose backward pass writes the
// gradient from the logits and one number a row, so that no [N, C] tensor lives in between.
#include "ops/loss/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "ops/elements.h"
#include "ops/gradients.h"
#include "ops/loss/reduction.h"
#include "ops/registry.h"
#include "tallow/parallel.h"

namespace tallow {

namespace {

const char* name_of(const ClassLossOptions& o) {
  return o.normalized ? "nll_loss" : "cross_entropy";
}

DType wide_type(const Tensor& x) { return x.dtype() == DType::f64 ? DType::f64 : DType::f32; }

Specs infer(Inputs in, const ClassLossOptions&) {
  const Shape rows{in[0].size(0), in[0].size(2)};
  return {{rows, wide_type(in[0])}, {rows, wide_type(in[0])}};
}

/// The classes of a call and what they count.
template <class T>
struct Targets {
  ClassLossOptions options;
  Tensor target, weight;
  const int64_t* classes;
  const T* weights;  // or null
  T mean = 0;        // of the weights

  Targets(const Tensor& targets, const Tensor& given, int64_t count, DType type,
          const ClassLossOptions& o)
      : options(o),
        target(targets.to(DType::i64).contiguous()),
        weight(given.defined() ? given.detach().to(type).contiguous() : Tensor()),
        classes(target.data<int64_t>()),
        weights(weight.defined() ? weight.data<T>() : nullptr) {
    for (int64_t c = 0; c < count; ++c) mean += weight_of(c) / static_cast<T>(count);
    for (int64_t i = 0; i < target.numel(); ++i) {
      if (classes[i] != o.ignore_index && (classes[i] < 0 || classes[i] >= count))
        fail_index(name_of(o), ": target ", classes[i], " is out of bounds; classes are 0 to ",
                   count - 1);
    }
  }
  bool ignored(int64_t row) const { return classes[row] == options.ignore_index; }
  T weight_of(int64_t c) const { return weights ? weights[c] : T(1); }
  /// What all log probabilities of a row count in its loss together.
  T counted(int64_t row) const {
    if (ignored(row)) return 0;
    const T smoothing = static_cast<T>(options.smoothing);
    return (1 - smoothing) * weight_of(classes[row]) + smoothing * mean;
  }
};

constexpr int64_t kWidth = 256;  // rows of a block

/// Some rows of logits [n] that are columns in memory, the first of them row `row` at `offset`.
template <class T>
struct Block {
  const T* x;
  int64_t n, stride, width, row, offset;
};

/// `width` rows of logits [C], which are columns: element c of row i is at c * stride + i.
template <class T>
void log_sum_exp(const T* x, int64_t n, int64_t stride, int64_t width, T* result) {
  T top[kWidth];
  std::fill_n(top, width, -std::numeric_limits<T>::infinity());
  for (int64_t c = 0; c < n; ++c) {
    for (int64_t i = 0; i < width; ++i) top[i] = std::max(top[i], x[c * stride + i]);
  }
  T total[kWidth] = {};
  for (int64_t i = 0; i < width; ++i) top[i] = std::isfinite(top[i]) ? top[i] : T(0);
  for (int64_t c = 0; c < n; ++c) {
    for (int64_t i = 0; i < width; ++i) total[i] += std::exp(x[c * stride + i] - top[i]);
  }
  for (int64_t i = 0; i < width; ++i) result[i] = top[i] + std::log(total[i]);
}

template <class T>
void exp_scaled(const T* x, T* y, int64_t n, int64_t stride, int64_t width, const T* shifts,
                const T* scales) {
  for (int64_t c = 0; c < n; ++c, x += stride, y += stride) {
    for (int64_t i = 0; i < width; ++i) y[i] = std::exp(x[i] - shifts[i]) * scales[i];
  }
}

/// The loops over logits: f32 has those that a backend gave.
template <class T>
constexpr LogitLoops<T> plain_loops{log_sum_exp<T>, exp_scaled<T>};
template <class T>
const LogitLoops<T>& loops() {
  if constexpr (std::is_same_v<T, float>) return logit_loops;
  return plain_loops<T>;
}

/// The loss of row i of a block.
template <class T>
T loss_of(const Block<T>& b, int64_t i, T lse, const Targets<T>& t) {
  if (t.ignored(b.row + i)) return 0;
  const int64_t target = t.classes[b.row + i];
  const T smoothing = static_cast<T>(t.options.smoothing);
  const T* x = b.x + i;
  T loss = (1 - smoothing) * t.weight_of(target) * (lse - x[target * b.stride]);
  if (smoothing == 0) return loss;
  T spread[4] = {};
  for (int64_t c = 0; c < b.n; ++c) spread[c % 4] += t.weight_of(c) * (lse - x[c * b.stride]);
  return loss + smoothing / static_cast<T>(b.n) * (spread[0] + spread[1] + (spread[2] + spread[3]));
}

/// Calls fn(block) for all rows of x [outer, C, inner]: single rows, of any real dtype, where inner
/// is 1.
template <class T, class F>
void over_blocks(const Tensor& input, DType type, const F& fn) {
  const int64_t n = input.size(1), inner = input.size(2);
  const Tensor x = inner == 1 ? input.detach() : input.detach().to(type).contiguous();
  const ElementReader<T> reader(x, x.shape());
  const bool direct = x.dtype() == type && x.is_contiguous();
  const int64_t tiles = (inner + kWidth - 1) / kWidth, cost = n * std::min(inner, kWidth);
  const int64_t grain = std::max<int64_t>(1, 4096 / std::max<int64_t>(1, cost));
  parallel_for(x.size(0) * tiles, grain, [&](int64_t begin, int64_t end, int) {
    std::vector<T> scratch(static_cast<size_t>(direct ? 0 : n));
    for (int64_t b = begin; b < end; ++b) {
      const int64_t o = b / tiles, first = b % tiles * kWidth, offset = o * n * inner + first;
      const T* from = inner == 1 ? reader.read(offset, n, scratch.data()) : x.data<T>() + offset;
      fn(Block<T>{from, n, inner, std::min(kWidth, inner - first), o * inner + first, offset});
    }
  });
}

template <class T>
void forward(Inputs in, Outputs out, const ClassLossOptions& o) {
  const Targets<T> targets(in[1], in[2], in[0].size(1), out[0].dtype(), o);
  T *loss = out[0].data<T>(), *lses = out[1].data<T>();
  over_blocks<T>(in[0], out[0].dtype(), [&](const Block<T>& b) {
    T* lse = lses + b.row;
    if (o.normalized) {
      std::fill_n(lse, b.width, T(0));
    } else {
      loops<T>().log_sum_exp(b.x, b.n, b.stride, b.width, lse);
    }
    for (int64_t i = 0; i < b.width; ++i) {
      if (std::isinf(lse[i])) lse[i] = NAN;  // as of log_softmax
      loss[b.row + i] = loss_of(b, i, lse[i], targets);
    }
  });
}

void cpu(Inputs in, Outputs out, const ClassLossOptions& o) {
  if (out[0].dtype() == DType::f64) return forward<double>(in, out, o);
  forward<float>(in, out, o);
}

/// What each log probability counts in its row's loss, less its sign.
template <class T>
Tensor coefficients(Inputs in, const ClassLossOptions& o, DType type) {
  const Tensor result = Tensor::empty(in[0].shape(), type);
  const Targets<T> targets(in[1], in[2], in[0].size(1), type, o);
  T* data = result.data<T>();
  const int64_t count = in[0].size(1), inner = in[0].size(2), rows = in[0].size(0) * inner;
  const T share = static_cast<T>(o.smoothing) / static_cast<T>(count);
  for (int64_t row = 0; row < rows; ++row) {
    T* to = data + row / inner * count * inner + row % inner;
    const bool ignored = targets.ignored(row);
    for (int64_t c = 0; c < count; ++c) {
      to[c * inner] = ignored ? T(0) : share * targets.weight_of(c);
    }
    if (ignored) continue;
    const int64_t target = targets.classes[row];
    to[target * inner] += (1 - static_cast<T>(o.smoothing)) * targets.weight_of(target);
  }
  return result;
}

Tensors composite(Inputs in, const ClassLossOptions& o) {
  const DType type = wide_type(in[0]);
  const Tensor counts =
      type == DType::f64 ? coefficients<double>(in, o, type) : coefficients<float>(in, o, type);
  Tensor x = in[0].to(type), lse;
  if (!o.normalized) {
    lse = logsumexp(x, 1, true);
    x = x - lse;
  }
  // Not 0 times infinity.
  const Tensor used = where(ne(counts, 0), x, 0.0);
  return {-sum(used * counts, {1}),
          lse.defined() ? lse.detach().squeeze(1) : sum(counts, {1}) * 0.0};
}

Tensors vjp(const Saved<ClassLossOptions>& saved, Inputs grads) {
  const Inputs in = saved.inputs;
  if (grad_enabled()) {
    return gradients_of(in, grads.first(1),
                        [&](Inputs x) { return Tensors{composite(x, saved.options)[0]}; });
  }
  const Tensor inputs[] = {in[0], in[1], in[2], saved.outputs[1], grads[0]};
  return {apply_many(class_loss_backward_op, inputs, saved.options)[0], Tensor(), Tensor()};
}

Specs infer_backward(Inputs in, const ClassLossOptions&) {
  return {{in[0].shape(), wide_type(in[0])}};
}

/// The gradient of row i of a block, from `to`, which holds what all classes get by way of the sum
/// of exponentials; g is that of the row's loss.
template <class T>
void finish_gradient(const Block<T>& b, int64_t i, T g, T* to, const Targets<T>& t) {
  if (t.ignored(b.row + i)) {
    for (int64_t c = 0; c < b.n; ++c) to[c * b.stride] = 0;
    return;
  }
  const T smoothing = static_cast<T>(t.options.smoothing), share = smoothing / static_cast<T>(b.n);
  for (int64_t c = 0; c < b.n && share != 0; ++c) to[c * b.stride] -= g * share * t.weight_of(c);
  const int64_t target = t.classes[b.row + i];
  to[target * b.stride] -= g * (1 - smoothing) * t.weight_of(target);
}

template <class T>
void backward(Inputs in, const Tensor& out, const ClassLossOptions& o) {
  const Tensor lses = in[3].contiguous(), grads = in[4].to(out.dtype()).contiguous();
  const Targets<T> targets(in[1], in[2], in[0].size(1), out.dtype(), o);
  const T *lse = lses.data<T>(), *grad = grads.data<T>();
  over_blocks<T>(in[0], out.dtype(), [&](const Block<T>& b) {
    T* to = out.data<T>() + b.offset;
    T scales[kWidth];
    for (int64_t i = 0; i < b.width; ++i) {
      scales[i] = grad[b.row + i] * targets.counted(b.row + i);
    }
    if (o.normalized) {
      for (int64_t c = 0; c < b.n; ++c) std::fill_n(to + c * b.stride, b.width, T(0));
    } else {
      loops<T>().exp_scaled(b.x, to, b.n, b.stride, b.width, lse + b.row, scales);
    }
    for (int64_t i = 0; i < b.width; ++i) {
      finish_gradient(b, i, grad[b.row + i], to + i, targets);
    }
  });
}

void backward_cpu(Inputs in, Outputs out, const ClassLossOptions& o) {
  if (out[0].dtype() == DType::f64) return backward<double>(in, out[0], o);
  backward<float>(in, out[0], o);
}

// ---- the functions ----

/// input as [N, C, inner], and the shape of its rows.
struct Layout {
  Tensor input;
  Shape rows;
};

Layout layout(const char* op, const Tensor& input) {
  if (!is_real(input.dtype())) fail(op, ": input is ", input, "; call .to(f32)");
  if (input.dim() == 0) fail(op, ": input is ", input, "; it needs [C], [N, C] or [N, C, ...]");
  if (input.dim() == 1) return {input.unsqueeze(0).unsqueeze(2), {}};
  Shape rows = input.shape();
  rows.erase(1);
  int64_t inner = 1;
  for (int d = 2; d < input.dim(); ++d) inner *= input.size(d);
  return {input.reshape({input.size(0), input.size(1), inner}), rows};
}

void check_weight(const char* op, const Tensor& weight, int64_t classes) {
  if (!weight.defined()) return;
  if (weight.dim() != 1 || weight.size(0) != classes || !is_real(weight.dtype()))
    fail(op, ": weight is ", weight, "; it needs a real [", classes, "]");
}

/// What the targets count together; NaN, which the mean of nothing is, where that is nothing.
Tensor total_weight(const Tensor& target, const Tensor& weight, int64_t ignore_index, DType type) {
  const Tensor classes = target.to(DType::i64).contiguous();
  const Tensor weights = weight.defined() ? weight.to(DType::f64).contiguous() : Tensor();
  double total = 0;
  for (int64_t i = 0; i < classes.numel(); ++i) {
    const int64_t c = classes.data<int64_t>()[i];
    if (c != ignore_index) total += weights.defined() ? weights.data<double>()[c] : 1;
  }
  return Tensor::scalar(total == 0 ? NAN : total, type);
}

Tensor class_loss(const Tensor& input, const Tensor& target, const Tensor& weight,
                  std::string_view reduction, const ClassLossOptions& o) {
  const char* op = name_of(o);
  check_reduction(op, reduction);
  const Layout x = layout(op, input);
  if (target.dtype() != DType::i64 && target.dtype() != DType::u8)
    fail(op, ": target is ", target, "; classes are i64 or u8");
  if (target.shape() != x.rows)
    fail(op, ": target ", target, " does not fit input ", input, "; it needs ", x.rows);
  check_weight(op, weight, x.input.size(1));
  const Tensor rows[] = {x.input, target.reshape({x.input.size(0), x.input.size(2)}), weight};
  const Tensor loss = apply_many(class_loss_op, rows, o)[0];
  if (reduction == "none") return loss.reshape(x.rows).to(input.dtype());
  Tensor total = sum(loss);
  if (reduction == "mean")
    total = total / total_weight(target, weight, o.ignore_index, total.dtype());
  return total.to(input.dtype());
}

/// Probabilities as targets.
Tensor soft_loss(const Tensor& input, const Tensor& target, const Tensor& weight,
                 std::string_view reduction, double smoothing) {
  const char* op = "cross_entropy";
  check_reduction(op, reduction);
  if (!is_real(target.dtype())) fail(op, ": target is ", target, "; probabilities are real");
  const Layout x = layout(op, input);
  check_weight(op, weight, x.input.size(1));
  const DType type = wide_type(input);
  Tensor wanted = target.reshape(x.input.shape()).to(type);
  if (smoothing > 0)
    wanted = wanted * (1 - smoothing) + smoothing / static_cast<double>(x.input.size(1));
  Tensor log_p = log_softmax(x.input.to(type), 1);
  if (weight.defined()) log_p = log_p * weight.to(type).reshape({1, -1, 1});
  const Tensor loss = -sum(log_p * wanted, {1});
  if (reduction == "none") return loss.reshape(x.rows).to(input.dtype());
  Tensor total = sum(loss);
  if (reduction == "mean") total = total / static_cast<double>(loss.numel());
  return total.to(input.dtype());
}

}  // namespace

LogitLoops<float> logit_loops = plain_loops<float>;

constinit Op<ClassLossOptions> class_loss_op{
    "cross_entropy",
    {.infer = infer, .vjp = vjp, .cpu = cpu, .composite = composite, .save_outputs = true}};
constinit Op<ClassLossOptions> class_loss_backward_op{
    "cross_entropy_backward", {.infer = infer_backward, .cpu = backward_cpu}};

Tensor cross_entropy(const Tensor& input, const Tensor& target, const Tensor& weight,
                     int64_t ignore_index, std::string_view reduction, double label_smoothing) {
  if (!(label_smoothing >= 0 && label_smoothing <= 1))
    fail("cross_entropy: label_smoothing is ", label_smoothing, "; it needs a value in [0, 1]");
  if (target.shape() == input.shape() && is_real(target.dtype()))
    return soft_loss(input, target, weight, reduction, label_smoothing);
  return class_loss(input, target, weight, reduction, {ignore_index, label_smoothing, false});
}

Tensor nll_loss(const Tensor& input, const Tensor& target, const Tensor& weight,
                int64_t ignore_index, std::string_view reduction) {
  return class_loss(input, target, weight, reduction, {ignore_index, 0, true});
}

}  // namespace tallow
