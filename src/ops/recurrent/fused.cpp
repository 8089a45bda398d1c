// The fused LSTM layer: its op, with the steps of simpler ops as its composite.
#include "ops/recurrent/fused.h"

#include "ops/gradients.h"
#include "tallow/autograd.h"

namespace tallow {

namespace {

struct Sizes {
  int64_t steps, rows, inputs, hidden;
  explicit Sizes(Inputs in)
      : steps(in[0].size(0)), rows(in[0].size(1)), inputs(in[0].size(2)), hidden(in[1].size(1)) {}
};

/// Bytes that the kernel keeps for the backward pass: gates and cells of all steps, their columns
/// padded to whole vectors.
int64_t reserve_bytes(const Sizes& s) {
  return s.steps * s.rows * 5 * ((s.hidden + 15) / 16 * 16) * 4;
}

Specs infer(Inputs in, const LstmOptions& o) {
  const Sizes s(in);
  return {{{s.steps, s.rows, s.hidden}, DType::f32},
          {{s.rows, s.hidden}, DType::f32},
          {{o.train ? reserve_bytes(s) : 0}, DType::u8}};
}

/// x, h, c, w_ih, w_hh, bias: {output, c}.
Tensors steps(Inputs in, const LstmOptions& o) {
  const Sizes s(in);
  const std::vector<int64_t> sizes(static_cast<size_t>(s.steps), s.rows);
  const LayerWeights weights{in[3], in[4], in[5], {}, {}};
  const LayerResult r = run_steps(Recurrence::lstm, in[0].reshape({s.steps * s.rows, s.inputs}),
                                  sizes, {in[1], in[2]}, weights, o.reverse);
  return {r.output.reshape({s.steps, s.rows, s.hidden}), r.last.c};
}

Tensors composite(Inputs in, const LstmOptions& o) {
  Tensors result = steps(in, o);
  result.push_back(Tensor::zeros({o.train ? reserve_bytes(Sizes(in)) : 0}, DType::u8));
  return result;
}

Tensors vjp(const Saved<LstmOptions>& saved, Inputs grads) {
  const Inputs in = saved.inputs;
  if (grad_enabled() || saved.outputs[2].numel() == 0)
    return gradients_of(in, grads.first(2), [&](Inputs x) { return steps(x, saved.options); });
  const Tensor inputs[] = {
      in[0],    in[1],   in[2], in[3], in[4], in[5], saved.outputs[0], saved.outputs[2],
      grads[0], grads[1]};
  return apply_many(lstm_backward_op, inputs, saved.options);
}

Specs infer_backward(Inputs in, const LstmOptions&) {
  Specs specs;
  for (int i = 0; i < 5; ++i) specs.push_back({in[i].shape(), DType::f32});
  specs.push_back({{in[3].size(0)}, DType::f32});
  return specs;
}

Tensors composite_backward(Inputs in, const LstmOptions& o) {
  Tensors leaves;
  for (int i = 0; i < 5; ++i) leaves.push_back(in[i].detach().requires_grad_());
  Tensor bias = in[5].defined() ? in[5].detach() : Tensor::zeros({in[3].size(0)});
  leaves.push_back(bias.requires_grad_());
  return gradients_of(leaves, in.subspan(8), [&](Inputs x) { return steps(x, o); });
}

Work work(Inputs in, Outputs, const LstmOptions&) {
  const Sizes s(in);
  return {.flops = 8.0 * static_cast<double>(s.steps * s.rows) *
                   static_cast<double>(s.hidden * (s.inputs + s.hidden))};
}

Work work_backward(Inputs in, Outputs, const LstmOptions&) {
  const Sizes s(in);
  return {.flops = 16.0 * static_cast<double>(s.steps * s.rows) *
                   static_cast<double>(s.hidden * (s.inputs + s.hidden))};
}

}  // namespace

constinit Op<LstmOptions> lstm_op{
    "lstm",
    {.infer = infer, .vjp = vjp, .composite = composite, .work = work, .save_outputs = true}};
constinit Op<LstmOptions> lstm_backward_op{
    "lstm_backward",
    {.infer = infer_backward, .composite = composite_backward, .work = work_backward}};

bool is_fusible(Recurrence kind, const Tensor& data, const std::vector<int64_t>& sizes,
                const LayerWeights& weights) {
  return kind == Recurrence::lstm && data.dtype() == DType::f32 && !weights.w_hr.defined() &&
         data.numel() > 0 && weights.w_hh.numel() > 0 && sizes.front() == sizes.back();
}

LayerResult run_fused(Recurrence, const Tensor& data, const std::vector<int64_t>& sizes,
                      const State& first, const LayerWeights& weights, bool reverse) {
  const int64_t steps = static_cast<int64_t>(sizes.size()), rows = sizes[0];
  const Tensor x = data.reshape({steps, rows, data.size(1)});
  const Tensor bias = weights.b_ih.defined() ? weights.b_ih + weights.b_hh : Tensor();
  const Tensor inputs[] = {x, first.h, first.c, weights.w_ih, weights.w_hh, bias};
  bool train = false;
  for (const Tensor& t : inputs) train |= t.defined() && t.requires_grad();
  const Tensors r = apply_many(lstm_op, inputs, {reverse, train && grad_enabled()});
  return {r[0].reshape({steps * rows, r[0].size(2)}),
          {r[0].select(0, reverse ? 0 : steps - 1), r[1]}};
}

}  // namespace tallow
