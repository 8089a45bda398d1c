// The fused LSTM layer: one product for the inputs of all steps; then each thread keeps some blocks
// of hidden units, with its part of the recurrent weight, and meets the others once a step.
#include <algorithm>
#include <cstring>

#include "backend/cpu/gemm/driver.h"
#include "backend/cpu/gemm/gemm.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/recurrent/kernels.h"
#include "ops/recurrent/fused.h"
#include "tallow/ops.h"
#include "tallow/parallel.h"

namespace tallow::cpu {
namespace {

const RecurrentKernels& kernels() {
  static const RecurrentKernels& chosen = TALLOW_BY_ISA(recurrent_kernels);
  return chosen;
}

constexpr double kTeamWork = 1e5;  // multiplications of a step from which other threads pay

struct Layer {
  int64_t steps, rows, inputs, hidden;
  int64_t lanes = kernels().lanes;
  int64_t blocks, padded;  // of hidden units
  bool reverse;

  Layer(Inputs in, bool backwards)
      : steps(in[0].size(0)),
        rows(in[0].size(1)),
        inputs(in[0].size(2)),
        hidden(in[1].size(1)),
        blocks(ceil_div(hidden, lanes)),
        padded(blocks * lanes),
        reverse(backwards) {}
  int64_t all_rows() const { return steps * rows; }
  int64_t columns() const { return 4 * padded; }
  /// The i-th step to be computed, as a place in time.
  int64_t time(int64_t i) const { return reverse ? steps - 1 - i : i; }
  int64_t units(int64_t block) const { return std::min(lanes, hidden - block * lanes); }
  int threads() const {
    const double work = 4.0 * static_cast<double>(rows) * static_cast<double>(hidden * hidden);
    return work < kTeamWork ? 1 : static_cast<int>(std::min<int64_t>(num_threads(), blocks));
  }
  /// Calls fn(interleaved row, row of PyTorch's weight or -1 where there is none).
  template <class F>
  void over_gates(const F& fn) const {
    for (int64_t b = 0; b < blocks; ++b) {
      for (int64_t gate = 0; gate < 4; ++gate) {
        for (int64_t lane = 0; lane < lanes; ++lane) {
          const int64_t unit = b * lanes + lane;
          fn((b * 4 + gate) * lanes + lane, unit < hidden ? gate * hidden + unit : -1);
        }
      }
    }
  }
};

/// Rows of a weight [4 H, n] in interleaved order, zeros where there is none.
Tensor interleaved_rows(const Layer& layer, const Tensor& weight) {
  const Tensor from = weight.contiguous();
  const int64_t n = from.numel() / from.size(0);
  Tensor result = Tensor::empty({layer.columns(), n});
  layer.over_gates([&](int64_t to, int64_t row) {
    float* target = result.data<float>() + to * n;
    const size_t bytes = static_cast<size_t>(n) * sizeof(float);
    if (row < 0) {
      std::memset(target, 0, bytes);
    } else {
      std::memcpy(target, from.data<float>() + row * n, bytes);
    }
  });
  return result;
}

/// The other way: rows [4 H, n] from interleaved ones.
void plain_rows(const Layer& layer, const float* from, int64_t n, float* to) {
  layer.over_gates([&](int64_t row, int64_t target) {
    if (target >= 0)
      std::memcpy(to + target * n, from + row * n, static_cast<size_t>(n) * sizeof(float));
  });
}

/// Panels [blocks][H][4 lanes] of the recurrent weight: the columns of a panel are the gates of a
/// block.
Tensor forward_panels(const Layer& layer, const Tensor& w_hh) {
  const Tensor rows = interleaved_rows(layer, w_hh);
  const int64_t width = 4 * layer.lanes, k = layer.hidden;
  Tensor result = Tensor::empty({layer.blocks, k, width});
  parallel_for(layer.blocks, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t b = begin; b < end; ++b) {
      const float* from = rows.data<float>() + b * width * k;
      float* to = result.data<float>() + b * width * k;
      for (int64_t at = 0; at < width; at += 16) {
        const int count = static_cast<int>(std::min<int64_t>(16, width - at));
        gemm_kernels().interleave_32(count, k, reinterpret_cast<const uint32_t*>(from + at * k), k,
                                     reinterpret_cast<uint32_t*>(to + at), width);
      }
    }
  });
  return result;
}

/// Panels [ceil(H / 4 lanes)][4 padded][4 lanes]: columns of the recurrent weight, its rows
/// interleaved.
Tensor backward_panels(const Layer& layer, const Tensor& w_hh) {
  const Tensor rows = interleaved_rows(layer, w_hh);
  const int64_t width = 4 * layer.lanes, count = ceil_div(layer.hidden, width), n = layer.columns();
  Tensor result = Tensor::empty({count, n, width});
  parallel_for(count, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t p = begin; p < end; ++p) {
      const int64_t used = std::min(width, layer.hidden - p * width);
      for (int64_t k = 0; k < n; ++k) {
        float* to = result.data<float>() + (p * n + k) * width;
        std::memcpy(to, rows.data<float>() + k * layer.hidden + p * width,
                    static_cast<size_t>(used) * sizeof(float));
        std::fill(to + used, to + width, 0.f);
      }
    }
  });
  return result;
}

/// The gates and cells that a training pass keeps, in interleaved order and [.., padded].
struct Reserve {
  Tensor memory;  // what there is where nothing is kept
  float* gates;
  float* cells;

  Reserve(const Layer& layer, const Tensor& reserve) {
    const int64_t size = layer.all_rows() * layer.columns();
    const bool kept = reserve.numel() > 0;
    if (!kept) memory = Tensor::empty({layer.all_rows() * 5 * layer.padded});
    gates = kept ? reinterpret_cast<float*>(reserve.raw()) : memory.data<float>();
    cells = gates + size;
  }
};

Weight rows_of(const float* data, int64_t n, int64_t k, int64_t n_stride, int64_t k_stride) {
  Weight w;
  w.data = data;
  w.n = n, w.k = k, w.n_stride = n_stride, w.k_stride = k_stride;
  return w;
}

void forward(Inputs in, Outputs out, const LstmOptions& o) {
  const Layer layer(in, o.reverse);
  const Tensor x = in[0].contiguous(), h0 = in[1].contiguous(), c0 = in[2].contiguous();
  const Tensor w_ih = interleaved_rows(layer, in[3]), panels = forward_panels(layer, in[4]);
  const Tensor bias = in[5].defined() ? interleaved_rows(layer, in[5]) : Tensor();
  const Reserve kept(layer, out[2]);
  const int64_t columns = layer.columns(), hidden = layer.hidden, rows = layer.rows;
  Weight w = rows_of(w_ih.data<float>(), columns, layer.inputs, layer.inputs, 1);
  w.bias = bias.defined() ? bias.raw() : nullptr;
  product<float>({x.data<float>(), layer.all_rows(), layer.inputs, layer.inputs}, {&w, 1},
                 kept.gates, columns);
  float* y = out[0].data<float>();
  const int64_t panel = hidden * 4 * layer.lanes;
  Barrier barrier(layer.threads());
  parallel_team(layer.threads(), [&](int thread, int threads) {
    const int64_t begin = layer.blocks * thread / threads;
    const int64_t end = layer.blocks * (thread + 1) / threads;
    for (int64_t i = 0; i < layer.steps; ++i) {
      const int64_t at = layer.time(i) * rows, before = i > 0 ? layer.time(i - 1) * rows : 0;
      for (int64_t b = begin; b < end; ++b) {
        const int64_t unit = b * layer.lanes;
        kernels().lstm_step(
            {.rows = rows,
             .units = layer.units(b),
             .k = hidden,
             .h = i > 0 ? y + before * hidden : h0.data<float>(),
             .h_stride = hidden,
             .weights = panels.data<float>() + b * panel,
             .ahead = panels.data<float>() + (b + 1 < end ? b + 1 : begin) * panel,
             .gates = kept.gates + at * columns + b * 4 * layer.lanes,
             .gate_stride = columns,
             .cell = (i > 0 ? kept.cells + before * layer.padded : c0.data<float>()) + unit,
             .cell_stride = i > 0 ? layer.padded : hidden,
             .new_cell = kept.cells + at * layer.padded + unit,
             .new_cell_stride = layer.padded,
             .output = y + at * hidden + unit,
             .output_stride = hidden});
      }
      if (threads > 1) barrier.wait();
    }
  });
  const float* last = kept.cells + layer.time(layer.steps - 1) * rows * layer.padded;
  for (int64_t r = 0; r < rows; ++r)
    std::memcpy(out[1].data<float>() + r * hidden, last + r * layer.padded,
                static_cast<size_t>(hidden) * sizeof(float));
}

/// Goes back through time: the gradients of the gates, of the first state and of the first cell.
void back_through_time(const Layer& layer, Inputs in, const Reserve& kept, float* grad_gates,
                       float* grad_h, float* grad_cell) {
  const Tensor c0 = in[2].contiguous(), grad_output = in[8].contiguous();
  const Tensor panels = backward_panels(layer, in[4]);
  const int64_t columns = layer.columns(), hidden = layer.hidden, rows = layer.rows;
  const int64_t width = 4 * layer.lanes, tiles = ceil_div(hidden, width);
  const int threads = static_cast<int>(std::min<int64_t>(layer.threads(), tiles));
  Barrier barrier(threads);
  parallel_team(threads, [&](int thread, int count) {
    // A thread's units of both parts are the same.
    const int64_t first = tiles * thread / count, last = tiles * (thread + 1) / count;
    const int64_t begin = first * 4, end = std::min(layer.blocks, last * 4);
    for (int64_t i = layer.steps - 1; i >= 0; --i) {
      const int64_t at = layer.time(i) * rows, before = i > 0 ? layer.time(i - 1) * rows : 0;
      for (int64_t b = begin; b < end; ++b) {
        const int64_t unit = b * layer.lanes;
        kernels().lstm_back_step(
            {.rows = rows,
             .units = layer.units(b),
             .gates = kept.gates + at * columns + b * width,
             .gate_stride = columns,
             .cell = (i > 0 ? kept.cells + before * layer.padded : c0.data<float>()) + unit,
             .cell_stride = i > 0 ? layer.padded : hidden,
             .new_cell = kept.cells + at * layer.padded + unit,
             .new_cell_stride = layer.padded,
             .grad_output = grad_output.data<float>() + at * hidden + unit,
             .grad_output_stride = hidden,
             .grad_h = i + 1 < layer.steps ? grad_h + unit : nullptr,
             .grad_h_stride = hidden,
             .grad_cell = grad_cell + unit,
             .grad_cell_stride = hidden,
             .grad_gates = grad_gates + at * columns + b * width,
             .grad_gate_stride = columns});
      }
      if (count > 1) barrier.wait();
      for (int64_t p = first; p < last; ++p) {
        kernels().panel_product(
            {.rows = rows,
             .k = columns,
             .columns = std::min(width, hidden - p * width),
             .x = grad_gates + at * columns,
             .x_stride = columns,
             .panel = panels.data<float>() + p * columns * width,
             .ahead = panels.data<float>() + (p + 1 < last ? p + 1 : first) * columns * width,
             .c = grad_h + p * width,
             .c_stride = hidden});
      }
    }
  });
}

/// out [4 H, n] = the gates' gradients, transposed, times x [all rows, n].
void weight_gradient(const Layer& layer, const float* grad_gates, const float* x, int64_t n,
                     const Tensor& out) {
  const Tensor interleaved = Tensor::empty({layer.columns(), n});
  const Weight w = rows_of(x, n, layer.all_rows(), 1, n);
  product<float>({grad_gates, layer.columns(), layer.all_rows(), 1, layer.columns()}, {&w, 1},
                 interleaved.data<float>(), n);
  plain_rows(layer, interleaved.data<float>(), n, out.data<float>());
}

/// The state that each step began with.
Tensor states_before(const Layer& layer, const Tensor& h0, const Tensor& output) {
  const int64_t size = layer.rows * layer.hidden;
  const size_t bytes = static_cast<size_t>(size) * sizeof(float);
  const Tensor result = Tensor::empty(output.shape());
  float* to = result.data<float>();
  const Tensor y = output.contiguous();
  for (int64_t i = 0; i < layer.steps; ++i) {
    const float* from = i > 0 ? y.data<float>() + layer.time(i - 1) * size : h0.data<float>();
    std::memcpy(to + layer.time(i) * size, from, bytes);
  }
  return result;
}

void backward(Inputs in, Outputs out, const LstmOptions& o) {
  const Layer layer(in, o.reverse);
  const Reserve kept(layer, in[7]);
  const int64_t columns = layer.columns();
  const Tensor grad_gates = Tensor::empty({layer.all_rows(), columns});
  const Tensor grad_c = in[9].contiguous();
  std::memcpy(out[2].raw(), grad_c.raw(), static_cast<size_t>(grad_c.nbytes()));
  back_through_time(layer, in, kept, grad_gates.data<float>(), out[1].data<float>(),
                    out[2].data<float>());
  const float* g = grad_gates.data<float>();
  const Tensor w_ih = interleaved_rows(layer, in[3]);
  const Weight w = rows_of(w_ih.data<float>(), layer.inputs, columns, 1, layer.inputs);
  product<float>({g, layer.all_rows(), columns, columns}, {&w, 1}, out[0].data<float>(),
                 layer.inputs);
  const Tensor x = in[0].contiguous();
  weight_gradient(layer, g, x.data<float>(), layer.inputs, out[3]);
  const Tensor before = states_before(layer, in[1].contiguous(), in[6]);
  weight_gradient(layer, g, before.data<float>(), layer.hidden, out[4]);
  const Tensor sums = sum(grad_gates, {0});
  plain_rows(layer, sums.data<float>(), 1, out[5].data<float>());
}

}  // namespace

void bind_recurrent() {
  lstm_op.bind(DeviceKind::cpu, forward);
  lstm_backward_op.bind(DeviceKind::cpu, backward);
}

}  // namespace tallow::cpu
