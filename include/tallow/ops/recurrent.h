// Recurrent layers, as torch.lstm, torch.gru, torch.rnn_tanh and torch.rnn_relu: a stack of
// `num_layers` layers, each in one or both directions.
//   input   [T, B, I], or [B, T, I] with batch_first; or `data` [sum of batch_sizes, I], the steps
//           of packed sequences one after the other, and batch_sizes [T] i64, which do not grow
//   hx      the first hidden state [layers * directions, B, H]; of LSTM {h, c}
//   params  for each layer and direction w_ih [G H, I], w_hh [G H, H], with has_biases b_ih and
//           b_hh [G H], and of an LSTM with projections w_hr [P, H]; G gates: LSTM 4 (input,
//           forget, cell, output), GRU 3 (reset, update, new), else 1
// Results: the last layer's output [T, B, directions * H], then the last states, shaped as hx.
// dropout, where `train`, is between layers.
#pragma once

#include "tallow/op.h"
#include "tallow/tensor.h"

namespace tallow {

/// {output, h, c}. Hochreiter and Schmidhuber 1997.
Tensors lstm(const Tensor& input, const Tensors& hx, const Tensors& params, bool has_biases,
             int64_t num_layers, double dropout, bool train, bool bidirectional, bool batch_first);
/// The same of packed sequences.
Tensors lstm(const Tensor& data, const Tensor& batch_sizes, const Tensors& hx,
             const Tensors& params, bool has_biases, int64_t num_layers, double dropout, bool train,
             bool bidirectional);
/// {output, h}. Cho et al. 2014 (arXiv 1406.1078).
Tensors gru(const Tensor& input, const Tensor& hx, const Tensors& params, bool has_biases,
            int64_t num_layers, double dropout, bool train, bool bidirectional, bool batch_first);
/// The same of packed sequences.
Tensors gru(const Tensor& data, const Tensor& batch_sizes, const Tensor& hx, const Tensors& params,
            bool has_biases, int64_t num_layers, double dropout, bool train, bool bidirectional);
/// {output, h}. Elman 1990.
Tensors rnn_tanh(const Tensor& input, const Tensor& hx, const Tensors& params, bool has_biases,
                 int64_t num_layers, double dropout, bool train, bool bidirectional,
                 bool batch_first);
/// The same of packed sequences.
Tensors rnn_tanh(const Tensor& data, const Tensor& batch_sizes, const Tensor& hx,
                 const Tensors& params, bool has_biases, int64_t num_layers, double dropout,
                 bool train, bool bidirectional);
/// {output, h}: relu in the place of tanh.
Tensors rnn_relu(const Tensor& input, const Tensor& hx, const Tensors& params, bool has_biases,
                 int64_t num_layers, double dropout, bool train, bool bidirectional,
                 bool batch_first);
/// The same of packed sequences.
Tensors rnn_relu(const Tensor& data, const Tensor& batch_sizes, const Tensor& hx,
                 const Tensors& params, bool has_biases, int64_t num_layers, double dropout,
                 bool train, bool bidirectional);

/// One step: input [B, I] or [I], hx {h, c} of [B, H] or [H]: {h, c}.
Tensors lstm_cell(const Tensor& input, const Tensors& hx, const Tensor& w_ih, const Tensor& w_hh,
                  const Tensor& b_ih = {}, const Tensor& b_hh = {});
/// One step: input [B, I] or [I], hx [B, H] or [H].
Tensor gru_cell(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh,
                const Tensor& b_ih = {}, const Tensor& b_hh = {});
/// One step: input [B, I] or [I], hx [B, H] or [H].
Tensor rnn_tanh_cell(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh,
                     const Tensor& b_ih = {}, const Tensor& b_hh = {});
/// One step: input [B, I] or [I], hx [B, H] or [H].
Tensor rnn_relu_cell(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh,
                     const Tensor& b_ih = {}, const Tensor& b_hh = {});

/// The fields of torch.nn.utils.rnn.PackedSequence.
struct PackedSequence {
  Tensor data, batch_sizes, sorted_indices, unsorted_indices;
};
/// Packs the padded sequences input [T, B, ...], or [B, T, ...] with batch_first, of `lengths` [B]
/// (1 to T): data [sum of lengths, ...], step after step, the longest sequence first. Without
/// enforce_sorted the order that this takes is in sorted_indices.
PackedSequence pack_padded_sequence(const Tensor& input, const Tensor& lengths,
                                    bool batch_first = false, bool enforce_sorted = true);
/// {input, lengths} from what pack_padded_sequence made; steps past a sequence's end are
/// padding_value, and there are total_length of them in all when that is given.
Tensors pad_packed_sequence(const Tensor& data, const Tensor& batch_sizes,
                            const Tensor& unsorted_indices = {}, bool batch_first = false,
                            double padding_value = 0.0, std::optional<int64_t> total_length = {});
/// Sequences [T_i, ...] side by side, [T, B, ...] or [B, T, ...] with batch_first, filled with
/// padding_value at their "right" or "left" end.
Tensor pad_sequence(const Tensors& sequences, bool batch_first = false, double padding_value = 0.0,
                    std::string_view padding_side = "right");

}  // namespace tallow
