// The recurrences, a step at a time of simpler ops: the definition, and what gives second
// derivatives.
#include "ops/recurrent/layer.h"

namespace tallow {

namespace {

State lstm_step(const Tensor& gates, const State& before, const Tensor& w_hr) {
  const int64_t n = before.c.size(1);
  const auto gate = [&](int64_t i) { return gates.narrow(1, i * n, n); };
  const Tensor c = sigmoid(gate(1)) * before.c + sigmoid(gate(0)) * tanh(gate(2));
  const Tensor h = sigmoid(gate(3)) * tanh(c);
  return {w_hr.defined() ? matmul(h, w_hr.transpose(0, 1)) : h, c};
}

State gru_step(const Tensor& input, const Tensor& hidden, const Tensor& h) {
  const int64_t n = h.size(1);
  const auto gate = [&](const Tensor& x, int64_t i) { return x.narrow(1, i * n, n); };
  const Tensor reset = sigmoid(gate(input, 0) + gate(hidden, 0));
  const Tensor update = sigmoid(gate(input, 1) + gate(hidden, 1));
  const Tensor fresh = tanh(gate(input, 2) + reset * gate(hidden, 2));
  return {(h - fresh) * update + fresh, {}};
}

State narrowed(const State& s, int64_t start, int64_t count) {
  const auto rows = [&](const Tensor& t) {
    return t.defined() ? t.narrow(0, start, count) : Tensor();
  };
  return {rows(s.h), rows(s.c)};
}

/// The rows of several states, one after the other.
State joined(const std::vector<State>& parts) {
  if (parts.size() == 1) return parts[0];
  Tensors h, c;
  for (const State& s : parts) {
    h.push_back(s.h);
    if (s.c.defined()) c.push_back(s.c);
  }
  return {cat(h, 0), c.empty() ? Tensor() : cat(c, 0)};
}

}  // namespace

State recurrent_step(Recurrence kind, const Tensor& gates, const State& before,
                     const LayerWeights& weights) {
  const Tensor hidden = linear(before.h, weights.w_hh, weights.b_hh);
  switch (kind) {
    case Recurrence::lstm: return lstm_step(gates + hidden, before, weights.w_hr);
    case Recurrence::gru: return gru_step(gates, hidden, before.h);
    case Recurrence::rnn_tanh: return {tanh(gates + hidden), {}};
    case Recurrence::rnn_relu: return {relu(gates + hidden), {}};
  }
  return {};
}

LayerResult run_steps(Recurrence kind, const Tensor& data, const std::vector<int64_t>& sizes,
                      const State& first, const LayerWeights& weights, bool reverse) {
  const Tensor gates = linear(data, weights.w_ih, weights.b_ih);
  const size_t steps = sizes.size();
  std::vector<int64_t> starts(steps, 0);
  for (size_t t = 1; t < steps; ++t) starts[t] = starts[t - 1] + sizes[t - 1];
  Tensors outputs(steps);
  std::vector<State> ended;  // sequences that are over, the shortest last
  int64_t rows = reverse && steps > 0 ? 0 : first.h.size(0);
  State state = narrowed(first, 0, rows);
  for (size_t i = 0; i < steps; ++i) {
    const size_t t = reverse ? steps - 1 - i : i;
    if (sizes[t] < rows) {
      ended.insert(ended.begin(), narrowed(state, sizes[t], rows - sizes[t]));
      state = narrowed(state, 0, sizes[t]);
    } else if (sizes[t] > rows) {
      const State more = narrowed(first, rows, sizes[t] - rows);
      state = rows == 0 ? more : joined({state, more});
    }
    rows = sizes[t];
    state = recurrent_step(kind, gates.narrow(0, starts[t], rows), state, weights);
    outputs[t] = state.h;
  }
  ended.insert(ended.begin(), state);
  const int64_t width = state.h.size(1);
  const Tensor output =
      outputs.empty() ? Tensor::empty({0, width}, state.h.dtype()) : cat(outputs, 0);
  return {output, joined(ended)};
}

}  // namespace tallow
