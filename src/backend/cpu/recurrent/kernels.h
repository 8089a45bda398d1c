// The inner loops of recurrent layers, a table per instruction set.
//
// Hidden units go in blocks of `lanes`. The gates of a step are [rows, blocks, 4, lanes], which the
// code calls interleaved; a weight's panel is [k, 4, lanes], for one block. What stands past the
// last unit of a block is zero in weights, and never read elsewhere.
#pragma once

#include <cstdint>

namespace tallow::cpu {

/// A block of one step of an LSTM.
struct LstmStep {
  int64_t rows, units;  // units of the block that are real
  int64_t k;            // length of the hidden state
  const float* h;       // [rows, k], the state before
  int64_t h_stride;
  const float* weights;  // the block's panel
  const float* ahead;    // the one that is used next, to be fetched meanwhile; or null
  float* gates;          // the block's of the first row: the input's part, then the activations
  int64_t gate_stride;   // from row to row
  const float* cell;     // the block's of the first row, before
  int64_t cell_stride;
  float* new_cell;
  int64_t new_cell_stride;
  float* output;
  int64_t output_stride;
};

/// A block of one step of its backward pass.
struct LstmBackStep {
  int64_t rows, units;
  const float* gates;  // activations; overwritten elsewhere
  int64_t gate_stride;
  const float* cell;  // before and after the step
  int64_t cell_stride;
  const float* new_cell;
  int64_t new_cell_stride;
  const float* grad_output;  // of the caller, [rows, .]
  int64_t grad_output_stride;
  const float* grad_h;  // from the step after, or null
  int64_t grad_h_stride;
  float* grad_cell;  // [rows, .], of this step's cell; then of the cell before
  int64_t grad_cell_stride;
  float* grad_gates;  // interleaved
  int64_t grad_gate_stride;
};

/// c [rows, columns <= 4 * lanes] = x [rows, k] times a panel.
struct PanelProduct {
  int64_t rows, k, columns;
  const float* x;
  int64_t x_stride;
  const float* panel;
  const float* ahead;  // the panel that is used next, or null
  float* c;
  int64_t c_stride;
};

struct RecurrentKernels {
  int lanes;
  void (*lstm_step)(const LstmStep&);
  void (*lstm_back_step)(const LstmBackStep&);
  void (*panel_product)(const PanelProduct&);
};

namespace isa_portable {
extern const RecurrentKernels recurrent_kernels;
}
namespace isa_avx2 {
extern const RecurrentKernels recurrent_kernels;
}
namespace isa_avx512 {
extern const RecurrentKernels recurrent_kernels;
}

void bind_recurrent();

}  // namespace tallow::cpu
