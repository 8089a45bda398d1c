// ctc_loss: the forward and backward variables of Graves et al. 2006, in logarithms.
#include <cmath>
#include <limits>

#include "ops/elements.h"
#include "ops/loss/reduction.h"
#include "tallow/parallel.h"

namespace tallow {

namespace {

struct CtcOptions {
  int64_t blank;
  int64_t longest;  // target
  bool zero_infinity;
};

constexpr const char* kName = "ctc_loss";

/// The targets of sequence n, with a blank before, between and after them.
struct Labels {
  const int64_t* targets;
  int64_t length, blank;
  int64_t states() const { return 2 * length + 1; }
  int64_t operator[](int64_t s) const { return s % 2 ? targets[s / 2] : blank; }
  /// Whether state s may follow s - 2.
  bool skips(int64_t s) const { return s % 2 && s >= 3 && targets[s / 2] != targets[s / 2 - 1]; }
};

/// Where everything of a call lies.
struct Batch {
  Tensor targets, input_lengths, target_lengths;
  int64_t longest, blank;
  std::vector<int64_t> starts;

  Batch(Inputs in, const CtcOptions& o)
      : targets(in[1].to(DType::i64).contiguous()),
        input_lengths(in[2].contiguous()),
        target_lengths(in[3].contiguous()),
        longest(o.longest),
        blank(o.blank) {
    int64_t at = 0;
    for (int64_t n = 0; n < target_lengths.numel(); ++n) {
      starts.push_back(at);
      at += targets.dim() == 2 ? targets.size(1) : target_lengths.data<int64_t>()[n];
    }
  }
  int64_t steps(int64_t n) const { return input_lengths.data<int64_t>()[n]; }
  Labels labels(int64_t n) const {
    return {targets.data<int64_t>() + starts[static_cast<size_t>(n)],
            target_lengths.data<int64_t>()[n], blank};
  }
};

template <class T>
constexpr T kNever = -std::numeric_limits<T>::infinity();

template <class T>
T log_add(T a, T b, T c) {
  const T top = std::max({a, b, c});
  if (top == kNever<T>) return top;
  return top + std::log(std::exp(a - top) + std::exp(b - top) + std::exp(c - top));
}

/// alpha [steps, 2 longest + 1] of one sequence; returns -log p of its labels.
template <class T>
T run_forward(const T* log_probs, int64_t step, int64_t steps, const Labels& labels, int64_t width,
              T* alpha) {
  const int64_t states = labels.states();
  std::fill(alpha, alpha + width, kNever<T>);
  if (steps == 0) return labels.length == 0 ? T(0) : -kNever<T>;
  alpha[0] = log_probs[labels.blank];
  if (states > 1) alpha[1] = log_probs[labels[1]];
  for (int64_t t = 1; t < steps; ++t) {
    const T* before = alpha + (t - 1) * width;
    T* now = alpha + t * width;
    for (int64_t s = 0; s < states; ++s) {
      now[s] = log_add(before[s], s > 0 ? before[s - 1] : kNever<T>,
                       labels.skips(s) ? before[s - 2] : kNever<T>) +
               log_probs[t * step + labels[s]];
    }
  }
  const T* last = alpha + (steps - 1) * width;
  return -log_add(last[states - 1], states > 1 ? last[states - 2] : kNever<T>, kNever<T>);
}

/// The gradient with respect to log_probs, which are taken to be normalized.
template <class T>
void run_backward(const T* log_probs, int64_t step, int64_t steps, const Labels& labels,
                  int64_t width, const T* alpha, T loss, T scale, int64_t classes, T* grad) {
  const int64_t states = labels.states();
  std::vector<T> beta(static_cast<size_t>(states), kNever<T>), next(beta);
  std::vector<T> by_class(static_cast<size_t>(classes));
  for (int64_t t = steps - 1; t >= 0; --t) {
    const T* lp = log_probs + t * step;
    for (int64_t s = 0; s < states; ++s) {
      const auto i = static_cast<size_t>(s);
      T reached = s >= states - 2 ? T(0) : kNever<T>;
      if (t + 1 < steps) {
        reached = log_add(next[i], s + 1 < states ? next[i + 1] : kNever<T>,
                          s + 2 < states && labels.skips(s + 2) ? next[i + 2] : kNever<T>);
      }
      beta[i] = reached + lp[labels[s]];
    }
    std::fill(by_class.begin(), by_class.end(), kNever<T>);
    for (int64_t s = 0; s < states; ++s) {
      T& sum = by_class[static_cast<size_t>(labels[s])];
      sum = log_add(sum, alpha[t * width + s] + beta[static_cast<size_t>(s)], kNever<T>);
    }
    for (int64_t c = 0; c < classes; ++c) {
      const T seen = by_class[static_cast<size_t>(c)];
      grad[t * step + c] = (std::exp(lp[c]) - std::exp(seen + loss - lp[c])) * scale;
    }
    std::swap(beta, next);
  }
}

Specs infer(Inputs in, const CtcOptions& o) {
  const int64_t steps = in[0].size(0), batch = in[0].size(1);
  return {{{batch}, in[0].dtype()}, {{batch, steps, 2 * o.longest + 1}, in[0].dtype()}};
}

template <class T>
void forward(Inputs in, Outputs out, const CtcOptions& o) {
  const Tensor log_probs = in[0].contiguous();
  const Batch batch(in, o);
  const int64_t count = log_probs.size(1), classes = log_probs.size(2), width = 2 * o.longest + 1;
  const int64_t size = log_probs.size(0) * width;
  parallel_for(count, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t n = begin; n < end; ++n) {
      T loss = run_forward<T>(log_probs.data<T>() + n * classes, count * classes, batch.steps(n),
                              batch.labels(n), width, out[1].data<T>() + n * size);
      if (o.zero_infinity && std::isinf(loss)) loss = 0;
      out[0].data<T>()[n] = loss;
    }
  });
}

void cpu(Inputs in, Outputs out, const CtcOptions& o) {
  if (out[0].dtype() == DType::f64) return forward<double>(in, out, o);
  forward<float>(in, out, o);
}

// log_probs, targets, lengths, losses, alpha, gradient of the losses.
Specs infer_backward(Inputs in, const CtcOptions&) { return {{in[0].shape(), in[0].dtype()}}; }

/// Whether the labels fit into the steps.
template <class T>
bool reachable(const T* alpha, int64_t steps, int64_t states, int64_t width) {
  if (steps == 0) return states == 1;
  const T* last = alpha + (steps - 1) * width;
  return last[states - 1] > kNever<T> || (states > 1 && last[states - 2] > kNever<T>);
}

template <class T>
void backward(Inputs in, const Tensor& out, const CtcOptions& o) {
  const Tensor log_probs = in[0].contiguous(), grads = in[6].contiguous();
  const Batch batch(in, o);
  const int64_t count = log_probs.size(1), classes = log_probs.size(2), width = 2 * o.longest + 1;
  const int64_t size = log_probs.size(0) * width;
  std::fill_n(out.data<T>(), out.numel(), T(0));
  parallel_for(count, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t n = begin; n < end; ++n) {
      const Labels labels = batch.labels(n);
      const T *alpha = in[5].data<T>() + n * size, loss = in[4].data<T>()[n];
      // A loss of infinity was made 0; there is no way through its labels.
      const bool impossible =
          o.zero_infinity && loss == 0 && !reachable(alpha, batch.steps(n), labels.states(), width);
      if (impossible) continue;
      run_backward<T>(log_probs.data<T>() + n * classes, count * classes, batch.steps(n), labels,
                      width, alpha, loss, grads.data<T>()[n], classes, out.data<T>() + n * classes);
    }
  });
}

void backward_cpu(Inputs in, Outputs out, const CtcOptions& o) {
  if (out[0].dtype() == DType::f64) return backward<double>(in, out[0], o);
  backward<float>(in, out[0], o);
}

constinit Op<CtcOptions> ctc_backward_op{"ctc_loss_backward",
                                         {.infer = infer_backward, .cpu = backward_cpu}};

Tensors vjp(const Saved<CtcOptions>& saved, Inputs grads) {
  const Inputs in = saved.inputs;
  Tensors result(4);
  result[0] = apply(ctc_backward_op,
                    {in[0], in[1], in[2], in[3], saved.outputs[0], saved.outputs[1], grads[0]},
                    saved.options);
  return result;
}

constinit Op<CtcOptions> ctc_op{kName,
                                {.infer = infer, .vjp = vjp, .cpu = cpu, .save_outputs = true}};

// ---- the function ----

void check_lengths(const char* what, const Tensor& lengths, int64_t count, int64_t most) {
  if (lengths.dim() > 1 || lengths.numel() != count)
    fail(kName, ": ", what, " are ", lengths, "; they need [", count, "]");
  for (int64_t i = 0; i < count; ++i) {
    const int64_t n = lengths.data<int64_t>()[i];
    if (n < 0 || n > most) fail(kName, ": ", what, "[", i, "] is ", n, "; it needs 0 to ", most);
  }
}

void check(const Tensor& x, const Tensor& targets, const Tensor& input_lengths,
           const Tensor& target_lengths, int64_t blank) {
  if (!is_integral(targets.dtype()) || targets.dtype() == DType::boolean)
    fail(kName, ": targets are ", targets, "; they need integers");
  if (blank < 0 || blank >= x.size(2))
    fail(kName, ": blank is ", blank, "; it needs a class of 0 to ", x.size(2) - 1);
  const int64_t count = x.size(1);
  if (count == 0) fail(kName, ": log_probs are ", x, "; they need a sequence or more");
  check_lengths("input_lengths", input_lengths, count, x.size(0));
  const bool padded = targets.dim() == 2;
  if (targets.dim() > 2 || targets.dim() == 0 || (padded && targets.size(0) != count))
    fail(kName, ": targets are ", targets, "; they need [", count, ", S] or the sum of lengths");
  check_lengths("target_lengths", target_lengths, count,
                padded ? targets.size(1) : targets.numel());
  int64_t total = 0;
  for (int64_t i = 0; i < count; ++i) total += target_lengths.data<int64_t>()[i];
  if (!padded && total != targets.numel())
    fail(kName, ": target_lengths sum to ", total, "; targets are ", targets);
  const Tensor all = targets.to(DType::i64).contiguous();
  for (int64_t i = 0; i < count; ++i) {
    const int64_t start = padded ? i * targets.size(1) : 0;
    const int64_t length = padded ? target_lengths.data<int64_t>()[i] : i == 0 ? total : 0;
    for (int64_t s = 0; s < length; ++s) {
      const int64_t c = all.data<int64_t>()[start + s];
      if (c < 0 || c >= x.size(2))
        fail_index(kName, ": target ", c, " is out of bounds; classes are 0 to ", x.size(2) - 1);
    }
  }
}

Tensor lengths_of(const char* what, const Tensor& lengths) {
  if (!is_integral(lengths.dtype())) fail(kName, ": ", what, " are ", lengths, "; they need i64");
  const Tensor flat = lengths.dim() == 0 ? lengths.reshape({1}) : lengths;
  return flat.to(DType::i64).contiguous();
}

}  // namespace

Tensor ctc_loss(const Tensor& log_probs, const Tensor& targets, const Tensor& input_lengths,
                const Tensor& target_lengths, int64_t blank, std::string_view reduction,
                bool zero_infinity) {
  check_reduction(kName, reduction);
  if (log_probs.dtype() != DType::f32 && log_probs.dtype() != DType::f64)
    fail(kName, ": log_probs are ", log_probs, "; they need f32 or f64");
  const bool batched = log_probs.dim() == 3;
  if (!batched && log_probs.dim() != 2)
    fail(kName, ": log_probs are ", log_probs, "; they need [T, N, C] or [T, C]");
  const Tensor x = batched ? log_probs : log_probs.unsqueeze(1);
  const Tensor labels = !batched && targets.dim() == 1 ? targets.unsqueeze(0) : targets;
  const Tensor inputs = lengths_of("input_lengths", input_lengths);
  const Tensor lengths = lengths_of("target_lengths", target_lengths);
  check(x, labels, inputs, lengths, blank);
  int64_t longest = 0;
  for (int64_t i = 0; i < lengths.numel(); ++i)
    longest = std::max(longest, lengths.data<int64_t>()[i]);
  const Tensor all[] = {x, labels, inputs, lengths};
  const Tensor loss = apply_many(ctc_op, all, {blank, longest, zero_infinity})[0];
  if (reduction == "none") return batched ? loss : loss.squeeze(0);
  if (reduction == "sum") return sum(loss);
  return mean(loss / maximum(lengths.to(loss.dtype()), 1.0));
}

Tensor ctc_loss(const Tensor& log_probs, const Tensor& targets, const Tensors& input_lengths,
                const Tensors& target_lengths, int64_t blank, std::string_view reduction,
                bool zero_infinity) {
  const auto tensor = [](const Tensors& numbers) {
    std::vector<int64_t> values;
    for (const Tensor& n : numbers) values.push_back(static_cast<int64_t>(n.item()));
    return Tensor::from(std::span<const int64_t>(values), {static_cast<int64_t>(values.size())});
  };
  return ctc_loss(log_probs, targets, tensor(input_lengths), tensor(target_lengths), blank,
                  reduction, zero_infinity);
}

}  // namespace tallow
