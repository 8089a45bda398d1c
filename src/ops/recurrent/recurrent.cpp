// lstm, gru, rnn_tanh, rnn_relu and their cells: checks, and the stack of layers and directions.
#include "ops/elements.h"
#include "ops/recurrent/fused.h"
#include "ops/recurrent/layer.h"
#include "tallow/error.h"

namespace tallow {

namespace {

struct Call {
  Recurrence kind;
  bool has_biases;
  int64_t layers;
  double dropout;  // 0 where not training
  bool bidirectional;
  int64_t directions() const { return bidirectional ? 2 : 1; }
  const char* name() const { return name_of(kind); }
};

/// Half types are computed in f32.
Tensor wide(const Tensor& x) {
  return !x.defined() || x.dtype() == DType::f64 ? x : x.to(DType::f32);
}

std::vector<LayerWeights> split_params(const Call& call, const Tensors& params) {
  const size_t count = static_cast<size_t>(call.layers * call.directions());
  const size_t plain = call.has_biases ? 4 : 2;
  const bool projected = call.kind == Recurrence::lstm && params.size() == count * (plain + 1);
  const size_t each = projected ? plain + 1 : plain;
  if (params.size() != count * each)
    fail(call.name(), ": there are ", params.size(), " params; ", count,
         " layers and directions need ", count * plain);
  std::vector<LayerWeights> result;
  for (size_t i = 0; i < count; ++i) {
    const Tensor* p = &params[i * each];
    LayerWeights w{wide(p[0]), wide(p[1]), {}, {}, {}};
    if (call.has_biases) w.b_ih = wide(p[2]), w.b_hh = wide(p[3]);
    if (projected) w.w_hr = wide(p[plain]);
    result.push_back(w);
  }
  return result;
}

void check_weights(const Call& call, const LayerWeights& w, const Tensor& data, const State& s) {
  const int64_t gates = gates_of(call.kind), width = s.h.size(1);
  const int64_t size = s.c.defined() ? s.c.size(1) : width;
  const auto check = [&](const char* what, const Tensor& t, const Shape& shape) {
    if (t.defined() && t.shape() != shape)
      fail(call.name(), ": ", what, " is ", t, "; it needs ", shape);
  };
  check("w_ih", w.w_ih, {gates * size, data.size(1)});
  check("w_hh", w.w_hh, {gates * size, width});
  check("b_ih", w.b_ih, {gates * size});
  check("b_hh", w.b_hh, {gates * size});
  check("w_hr", w.w_hr, {width, size});
}

/// One direction: the fused kernel where there is one for it.
LayerResult run(const Call& call, const Tensor& data, const std::vector<int64_t>& sizes,
                const State& first, const LayerWeights& weights, bool reverse) {
  check_weights(call, weights, data, first);
  if (is_fusible(call.kind, data, sizes, weights))
    return run_fused(call.kind, data, sizes, first, weights, reverse);
  return run_steps(call.kind, data, sizes, first, weights, reverse);
}

void check_state(const Call& call, const Tensor& h, int64_t rows) {
  if (h.dim() != 3 || h.size(0) != call.layers * call.directions() || h.size(1) != rows)
    fail(call.name(), ": hx is ", h, "; it needs [", call.layers * call.directions(), ", ", rows,
         ", hidden]");
}

/// {output [sum of sizes, directions * H], h, c}.
Tensors run_stack(const Call& call, Tensor data, const std::vector<int64_t>& sizes,
                  const Tensor& h0, const Tensor& c0, const Tensors& params) {
  const DType type = data.dtype();
  const int64_t rows = sizes.empty() ? h0.size(1) : sizes[0];
  check_state(call, h0, rows);
  if (c0.defined()) check_state(call, c0, rows);
  const std::vector<LayerWeights> weights = split_params(call, params);
  const Tensor first_h = wide(h0), first_c = wide(c0);
  data = wide(data);
  Tensors last_h, last_c;
  for (int64_t layer = 0; layer < call.layers; ++layer) {
    Tensors outputs;
    for (int64_t d = 0; d < call.directions(); ++d) {
      const int64_t i = layer * call.directions() + d;
      const State first{first_h.select(0, i), c0.defined() ? first_c.select(0, i) : Tensor()};
      const LayerResult r = run(call, data, sizes, first, weights[static_cast<size_t>(i)], d == 1);
      outputs.push_back(r.output);
      last_h.push_back(r.last.h.unsqueeze(0));
      if (r.last.c.defined()) last_c.push_back(r.last.c.unsqueeze(0));
    }
    data = outputs.size() == 1 ? outputs[0] : cat(outputs, -1);
    if (call.dropout > 0 && layer + 1 < call.layers) data = dropout(data, call.dropout, true);
  }
  const auto join = [&](const Tensors& parts) {
    return (parts.size() == 1 ? parts[0] : cat(parts, 0)).to(type);
  };
  return {data.to(type), join(last_h), last_c.empty() ? Tensor() : join(last_c)};
}

void check_types(const Call& call, const Tensor& input, const Tensor& h, const Tensors& params) {
  const auto check = [&](const char* what, const Tensor& t) {
    if (!t.defined() || t.dtype() != input.dtype())
      fail(call.name(), ": ", what, " is ", t, " but input is ", input, "; convert with .to()");
  };
  if (!is_real(input.dtype())) fail(call.name(), ": input is ", input, "; call .to(f32)");
  check("hx", h);
  for (const Tensor& t : params) check("a parameter", t);
  if (call.layers < 1) fail(call.name(), ": num_layers is ", call.layers, "; it needs 1 or more");
  if (!(call.dropout >= 0 && call.dropout <= 1))
    fail(call.name(), ": dropout is ", call.dropout, "; it needs a probability in [0, 1]");
}

/// Of padded input [T, B, I].
Tensors run_dense(const Call& call, const Tensor& input, const Tensor& h, const Tensor& c,
                  const Tensors& params, bool batch_first) {
  check_types(call, input, h, params);
  if (input.dim() != 3) fail(call.name(), ": input is ", input, "; it needs [T, B, I]");
  const Tensor x = batch_first ? input.transpose(0, 1) : input;
  const int64_t steps = x.size(0), rows = x.size(1);
  if (steps == 0) fail(call.name(), ": input is ", input, "; it needs a step or more");
  const std::vector<int64_t> sizes(static_cast<size_t>(steps), rows);
  Tensors result = run_stack(call, x.reshape({steps * rows, x.size(2)}), sizes, h, c, params);
  result[0] = result[0].reshape({steps, rows, result[0].size(1)});
  if (batch_first) result[0] = result[0].transpose(0, 1);
  if (!c.defined()) result.pop_back();
  return result;
}

std::vector<int64_t> step_sizes(const Call& call, const Tensor& data, const Tensor& batch_sizes) {
  if (!is_integral(batch_sizes.dtype()) || batch_sizes.dim() != 1)
    fail(call.name(), ": batch_sizes are ", batch_sizes, "; they need i64 [T]");
  const Tensor list = batch_sizes.to(DType::i64).contiguous();
  const int64_t* values = list.data<int64_t>();
  const std::vector<int64_t> sizes(values, values + list.numel());
  int64_t total = 0;
  for (size_t t = 0; t < sizes.size(); ++t) {
    if (sizes[t] < 1 || (t > 0 && sizes[t] > sizes[t - 1]))
      fail(call.name(), ": batch_sizes[", t, "] is ", sizes[t],
           "; sizes are positive and do not grow");
    total += sizes[t];
  }
  if (sizes.empty() || data.dim() != 2 || data.size(0) != total)
    fail(call.name(), ": data is ", data, " but batch_sizes sum to ", total);
  return sizes;
}

Tensors run_packed(const Call& call, const Tensor& data, const Tensor& batch_sizes, const Tensor& h,
                   const Tensor& c, const Tensors& params) {
  check_types(call, data, h, params);
  Tensors result = run_stack(call, data, step_sizes(call, data, batch_sizes), h, c, params);
  if (!c.defined()) result.pop_back();
  return result;
}

void check_pair(const Tensors& hx) {
  if (hx.size() != 2) fail("lstm: hx has ", hx.size(), " tensors; it needs {h, c}");
}

State run_cell(Recurrence kind, const Tensor& input, const State& hx, const LayerWeights& given) {
  const Call call{kind, given.b_ih.defined(), 1, 0, false};
  check_types(call, input, hx.h, {given.w_ih, given.w_hh});
  const bool batched = input.dim() == 2;
  if ((!batched && input.dim() != 1) || hx.h.dim() != input.dim())
    fail(call.name(), "_cell: input is ", input, " and hx ", hx.h, "; they need [B, I] and [B, H]");
  const auto rows = [&](const Tensor& t) {
    return batched || !t.defined() ? wide(t) : wide(t).unsqueeze(0);
  };
  const LayerWeights weights{
      wide(given.w_ih), wide(given.w_hh), wide(given.b_ih), wide(given.b_hh), {}};
  const State first{rows(hx.h), rows(hx.c)};
  const Tensor x = rows(input);
  if (x.size(0) != first.h.size(0))
    fail(call.name(), "_cell: input is ", input, " and hx ", hx.h, "; they need one batch size");
  check_weights(call, weights, x, first);
  const State s = recurrent_step(kind, linear(x, weights.w_ih, weights.b_ih), first, weights);
  const auto back = [&](const Tensor& t) {
    if (!t.defined()) return t;
    return (batched ? t : t.squeeze(0)).to(input.dtype());
  };
  return {back(s.h), back(s.c)};
}

}  // namespace

Tensors lstm(const Tensor& input, const Tensors& hx, const Tensors& params, bool has_biases,
             int64_t num_layers, double dropout, bool train, bool bidirectional, bool batch_first) {
  check_pair(hx);
  const Call call{Recurrence::lstm, has_biases, num_layers, train ? dropout : 0, bidirectional};
  return run_dense(call, input, hx[0], hx[1], params, batch_first);
}
Tensors lstm(const Tensor& data, const Tensor& batch_sizes, const Tensors& hx,
             const Tensors& params, bool has_biases, int64_t num_layers, double dropout, bool train,
             bool bidirectional) {
  check_pair(hx);
  const Call call{Recurrence::lstm, has_biases, num_layers, train ? dropout : 0, bidirectional};
  return run_packed(call, data, batch_sizes, hx[0], hx[1], params);
}
Tensors gru(const Tensor& input, const Tensor& hx, const Tensors& params, bool has_biases,
            int64_t num_layers, double dropout, bool train, bool bidirectional, bool batch_first) {
  const Call call{Recurrence::gru, has_biases, num_layers, train ? dropout : 0, bidirectional};
  return run_dense(call, input, hx, {}, params, batch_first);
}
Tensors gru(const Tensor& data, const Tensor& batch_sizes, const Tensor& hx, const Tensors& params,
            bool has_biases, int64_t num_layers, double dropout, bool train, bool bidirectional) {
  const Call call{Recurrence::gru, has_biases, num_layers, train ? dropout : 0, bidirectional};
  return run_packed(call, data, batch_sizes, hx, {}, params);
}
Tensors rnn_tanh(const Tensor& input, const Tensor& hx, const Tensors& params, bool has_biases,
                 int64_t num_layers, double dropout, bool train, bool bidirectional,
                 bool batch_first) {
  const Call call{Recurrence::rnn_tanh, has_biases, num_layers, train ? dropout : 0, bidirectional};
  return run_dense(call, input, hx, {}, params, batch_first);
}
Tensors rnn_tanh(const Tensor& data, const Tensor& batch_sizes, const Tensor& hx,
                 const Tensors& params, bool has_biases, int64_t num_layers, double dropout,
                 bool train, bool bidirectional) {
  const Call call{Recurrence::rnn_tanh, has_biases, num_layers, train ? dropout : 0, bidirectional};
  return run_packed(call, data, batch_sizes, hx, {}, params);
}
Tensors rnn_relu(const Tensor& input, const Tensor& hx, const Tensors& params, bool has_biases,
                 int64_t num_layers, double dropout, bool train, bool bidirectional,
                 bool batch_first) {
  const Call call{Recurrence::rnn_relu, has_biases, num_layers, train ? dropout : 0, bidirectional};
  return run_dense(call, input, hx, {}, params, batch_first);
}
Tensors rnn_relu(const Tensor& data, const Tensor& batch_sizes, const Tensor& hx,
                 const Tensors& params, bool has_biases, int64_t num_layers, double dropout,
                 bool train, bool bidirectional) {
  const Call call{Recurrence::rnn_relu, has_biases, num_layers, train ? dropout : 0, bidirectional};
  return run_packed(call, data, batch_sizes, hx, {}, params);
}

Tensors lstm_cell(const Tensor& input, const Tensors& hx, const Tensor& w_ih, const Tensor& w_hh,
                  const Tensor& b_ih, const Tensor& b_hh) {
  check_pair(hx);
  const State s = run_cell(Recurrence::lstm, input, {hx[0], hx[1]}, {w_ih, w_hh, b_ih, b_hh, {}});
  return {s.h, s.c};
}
Tensor gru_cell(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh,
                const Tensor& b_ih, const Tensor& b_hh) {
  return run_cell(Recurrence::gru, input, {hx, {}}, {w_ih, w_hh, b_ih, b_hh, {}}).h;
}
Tensor rnn_tanh_cell(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh,
                     const Tensor& b_ih, const Tensor& b_hh) {
  return run_cell(Recurrence::rnn_tanh, input, {hx, {}}, {w_ih, w_hh, b_ih, b_hh, {}}).h;
}
Tensor rnn_relu_cell(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh,
                     const Tensor& b_ih, const Tensor& b_hh) {
  return run_cell(Recurrence::rnn_relu, input, {hx, {}}, {w_ih, w_hh, b_ih, b_hh, {}}).h;
}

}  // namespace tallow
