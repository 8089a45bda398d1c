// scaled_dot_product_attention: dense attention. The composite below is the definition; f32 and
// bf16 run on fused kernels, forward and backward. Dao 2023 (arXiv 2307.08691).
#include "ops/attention/sdpa.h"

#include <cmath>
#include <limits>

#include "ops/elements.h"
#include "ops/gradients.h"
#include "tallow/autograd.h"

namespace tallow {

namespace {

constexpr const char* kName = "scaled_dot_product_attention";
constexpr double kLog2e = 1.4426950408889634;

/// What query i may see by its position: 0, or -infinity, [L, S].
Tensor position_mask(int64_t rows, int64_t columns, const SdpaOptions& o, DType dtype) {
  Tensor mask = Tensor::empty({rows, columns}, DType::f32);
  float* to = mask.data<float>();
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      const bool late = o.causal && j > i;
      const bool far = o.window > 0 && std::abs(i - j) >= o.window;
      *to++ = late || far ? -std::numeric_limits<float>::infinity() : 0.f;
    }
  }
  return mask.to(dtype);
}

/// Scores before the softmax, [..., L, S].
Tensor scores(const Tensor& q, const Tensor& k, const Tensor& mask, const SdpaOptions& o) {
  Tensor s = matmul(q * o.scale, k.transpose(-2, -1));
  if (o.soft_cap > 0) s = tanh(s * (1.0 / o.soft_cap)) * o.soft_cap;
  if (mask.defined()) s = s + mask.to(s.dtype());
  if (o.causal || o.window > 0) s = s + position_mask(s.size(-2), s.size(-1), o, s.dtype());
  return s;
}

struct Softened {
  Tensor weights, top, total;
};

/// The softmax, zero where a row sees nothing.
Softened soften(const Tensor& s) {
  const double least = s.dtype() == DType::f64 ? -1e300 : -1e30;
  const Tensor top = maximum(amax(s.detach(), {-1}, true), least);
  const Tensor raised = exp(s - top);
  const Tensor total = sum(raised, {-1}, true);
  return {raised / maximum(total, 1e-30), top, total};
}

Tensor repeat_heads(const Tensor& x, int64_t times) {
  if (times == 1) return x;
  Shape shape = x.shape();
  const int at = shape.size() - 3;
  shape[at] *= times;
  Shape wide = x.shape();
  wide.insert(at + 1, times);
  return x.unsqueeze(at + 1).expand(wide).reshape(shape);
}

Tensors composite(Inputs in, const SdpaOptions& o) {
  const int64_t times = in[1].size(-3) == 0 ? 1 : in[0].size(-3) / in[1].size(-3);
  const Tensor q = in[0].to(DType::f32);
  const Tensor k = repeat_heads(in[1].to(DType::f32), times);
  const Tensor v = repeat_heads(in[2].to(DType::f32), times);
  const Softened s = soften(scores(q, k, in[3], o));
  const Tensor lse = (log(s.total) + s.top) * kLog2e;
  return {matmul(s.weights, v).to(in[0].dtype()), lse.detach().squeeze(-1)};
}

Specs infer(Inputs in, const SdpaOptions&) {
  const Shape& q = in[0].shape();
  return {{q, in[0].dtype()}, {{q[0], q[1], q[2]}, DType::f32}};
}

Tensors vjp(const Saved<SdpaOptions>& saved, Inputs grads) {
  const Inputs in = saved.inputs;
  const bool by_mask = in[3].defined() && in[3].requires_grad();
  if (grad_enabled() || by_mask || saved.options.soft_cap > 0 || in[0].numel() == 0) {
    return gradients_of(in, grads.first(1),
                        [&](Inputs x) { return Tensors{composite(x, saved.options)[0]}; });
  }
  const Tensor inputs[] = {in[0],   in[1], in[2], in[3], saved.outputs[0], saved.outputs[1],
                           grads[0]};
  Tensors result = apply_many(sdpa_backward_op, inputs, saved.options);
  result.emplace_back();
  return result;
}

Specs infer_backward(Inputs in, const SdpaOptions&) {
  return {{in[0].shape(), in[0].dtype()},
          {in[1].shape(), in[1].dtype()},
          {in[2].shape(), in[2].dtype()}};
}

Tensors composite_backward(Inputs in, const SdpaOptions& o) {
  const Tensor inputs[] = {in[0].detach().requires_grad_(), in[1].detach().requires_grad_(),
                           in[2].detach().requires_grad_(), in[3]};
  Tensors result =
      gradients_of(inputs, in.subspan(6), [&](Inputs x) { return Tensors{composite(x, o)[0]}; });
  result.pop_back();
  return result;
}

Work work(Inputs in, Outputs, const SdpaOptions& o) {
  const double pairs = static_cast<double>(in[0].numel()) * static_cast<double>(in[1].size(2));
  return {.flops = 4 * pairs * (o.causal ? 0.5 : 1)};
}

Work work_backward(Inputs in, Outputs, const SdpaOptions& o) {
  const double pairs = static_cast<double>(in[0].numel()) * static_cast<double>(in[1].size(2));
  return {.flops = 10 * pairs * (o.causal ? 0.5 : 1)};
}

// ---- the function ----

struct Call {
  Tensor q, k, v, mask;
  double dropout;
  SdpaOptions options;
  bool gqa;
};

void check(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask, double dropout_p,
           bool is_causal) {
  for (const Tensor* t : {&q, &k, &v}) {
    if (!is_real(t->dtype())) fail(kName, ": ", *t, " is not real; call .to(f32)");
    if (t->dim() < 2) fail(kName, ": ", *t, " has fewer than 2 dimensions; it needs [..., L, E]");
  }
  if (q.dtype() != k.dtype() || q.dtype() != v.dtype())
    fail(kName, ": query ", q, ", key ", k, " and value ", v,
         " differ in dtype; convert with .to()");
  if (q.size(-1) != k.size(-1))
    fail(kName, ": query ", q, " and key ", k, " differ in their last size; they need one");
  if (k.size(-2) != v.size(-2))
    fail(kName, ": key ", k, " and value ", v, " differ in length; they need one");
  if (dropout_p < 0 || dropout_p > 1)
    fail(kName, ": dropout_p is ", dropout_p, "; it needs a value in [0, 1]");
  if (!mask.defined()) return;
  if (is_causal) fail(kName, ": attn_mask and is_causal exclude each other; give one");
  if (mask.dtype() != DType::boolean && mask.dtype() != DType::f32 && mask.dtype() != q.dtype())
    fail(kName, ": attn_mask ", mask, " needs bool, f32 or the dtype of query ", q);
}

/// Whether the fused kernel can serve: one layout and all of the sizes equal.
bool is_fusible(const Call& c) {
  const DType type = c.q.dtype();
  if ((type != DType::f32 && type != DType::bf16) || c.dropout > 0) return false;
  if (c.q.dim() != c.k.dim() || c.q.dim() != c.v.dim()) return false;
  if (c.q.dim() < 3 || c.q.size(-1) != c.v.size(-1) || c.q.numel() == 0 || c.k.numel() == 0)
    return false;
  if (c.options.window > 0 && !c.options.causal) return false;
  const int batch = c.q.dim() - 3;
  for (int d = 0; d < batch; ++d) {
    if (c.q.size(d) != c.k.size(d) || c.q.size(d) != c.v.size(d)) return false;
  }
  if (c.k.size(-3) != c.v.size(-3)) return false;
  return c.q.size(-3) == c.k.size(-3) || (c.gqa && c.q.size(-3) % c.k.size(-3) == 0);
}

Tensor four_dims(const Tensor& x) {
  if (x.dim() == 4) return x;
  if (x.dim() == 3) return x.unsqueeze(0);
  return x.reshape({-1, x.size(-3), x.size(-2), x.size(-1)});
}

Tensor fused(const Call& c) {
  const Tensor q = four_dims(c.q);
  Tensor mask = c.mask;
  if (mask.defined() && mask.dim() > 4) {
    Shape shape = c.q.shape();
    shape.back() = c.k.size(-2);
    mask = mask.expand(shape);
    mask = mask.reshape({-1, shape[shape.size() - 3], q.size(2), shape.back()});
  }
  const Tensor inputs[] = {q, four_dims(c.k), four_dims(c.v), mask};
  return apply_many(sdpa_op, inputs, c.options)[0].reshape(c.q.shape());
}

Tensor unfused(const Call& c) {
  const DType type = c.q.dtype(), wide = type == DType::f64 ? DType::f64 : DType::f32;
  Tensor k = c.k.to(wide), v = c.v.to(wide);
  if (c.gqa && c.q.dim() >= 3) {
    const int64_t heads = c.q.size(-3);
    for (Tensor* t : {&k, &v}) {
      const int64_t own = t->size(-3);
      if (own == 0 || heads % own != 0)
        fail(kName, ": ", heads, " heads of query are no multiple of ", own, " of ", *t);
      *t = repeat_heads(*t, heads / own);
    }
  }
  Tensor weights = soften(scores(c.q.to(wide), k, c.mask, c.options)).weights;
  if (c.dropout > 0) weights = dropout(weights, c.dropout, true);
  return matmul(weights, v).to(type);
}

}  // namespace

constinit Op<SdpaOptions> sdpa_op{
    kName,
    {.infer = infer, .vjp = vjp, .composite = composite, .work = work, .save_outputs = true}};
constinit Op<SdpaOptions> sdpa_backward_op{
    "scaled_dot_product_attention_backward",
    {.infer = infer_backward, .composite = composite_backward, .work = work_backward}};

Tensor scaled_dot_product_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                                    const Tensor& attn_mask, double dropout_p, bool is_causal,
                                    std::optional<double> scale, bool enable_gqa, int64_t window,
                                    double soft_cap) {
  check(query, key, value, attn_mask, dropout_p, is_causal);
  const double root = std::sqrt(static_cast<double>(query.size(-1)));
  Call call{query,     key,
            value,     attn_mask,
            dropout_p, {scale.value_or(root > 0 ? 1 / root : 0), soft_cap, window, is_causal},
            enable_gqa};
  // true is 0, false is -infinity.
  if (attn_mask.defined() && attn_mask.dtype() == DType::boolean)
    call.mask = log(attn_mask.to(query.dtype() == DType::f64 ? DType::f64 : DType::f32));
  return is_fusible(call) ? fused(call) : unfused(call);
}

}  // namespace tallow
