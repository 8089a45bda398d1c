// Padded sequences to packed ones and back, as torch.nn.utils.rnn.
#include <algorithm>
#include <numeric>
#include <vector>

#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {

namespace {

std::vector<int64_t> integers(const Tensor& x) {
  const Tensor list = x.to(DType::i64).contiguous();
  return {list.data<int64_t>(), list.data<int64_t>() + list.numel()};
}

Tensor tensor_of(const std::vector<int64_t>& values) {
  return Tensor::from(std::span(values), {static_cast<int64_t>(values.size())});
}

std::vector<int64_t> check_lengths(const Tensor& lengths, const Tensor& input, int64_t steps,
                                   int64_t rows) {
  const char* op = "pack_padded_sequence";
  if (lengths.dim() != 1 || lengths.size(0) != rows || is_differentiable(lengths.dtype()))
    fail(op, ": lengths are ", lengths, " for input ", input, "; they need i64 [", rows, "]");
  std::vector<int64_t> result = integers(lengths);
  for (int64_t n : result) {
    if (n < 1 || n > steps) fail(op, ": a length is ", n, "; it needs 1 to ", steps);
  }
  return result;
}

}  // namespace

PackedSequence pack_padded_sequence(const Tensor& input, const Tensor& lengths, bool batch_first,
                                    bool enforce_sorted) {
  const char* op = "pack_padded_sequence";
  if (input.dim() < 2) fail(op, ": input is ", input, "; it needs [T, B, ...]");
  Tensor x = batch_first ? input.transpose(0, 1) : input;
  const int64_t rows = x.size(1);
  std::vector<int64_t> sizes = check_lengths(lengths, input, x.size(0), rows);
  PackedSequence result;
  if (!enforce_sorted) {
    std::vector<int64_t> order(sizes.size()), back(sizes.size());
    std::iota(order.begin(), order.end(), int64_t{0});
    const auto longer = [&](int64_t a, int64_t b) {
      return sizes[static_cast<size_t>(a)] > sizes[static_cast<size_t>(b)];
    };
    std::stable_sort(order.begin(), order.end(), longer);
    for (size_t i = 0; i < order.size(); ++i)
      back[static_cast<size_t>(order[i])] = static_cast<int64_t>(i);
    result.sorted_indices = tensor_of(order), result.unsorted_indices = tensor_of(back);
    x = index_select(x, 1, result.sorted_indices);
    std::sort(sizes.begin(), sizes.end(), std::greater<>());
  } else if (!std::is_sorted(sizes.begin(), sizes.end(), std::greater<>())) {
    fail(op, ": lengths grow; sort the sequences, the longest first, or set enforce_sorted false");
  }
  Tensors steps;
  std::vector<int64_t> counts;
  size_t live = sizes.size();
  for (int64_t t = 0; live > 0 && t < sizes[0]; ++t) {
    while (live > 0 && sizes[live - 1] <= t) --live;
    counts.push_back(static_cast<int64_t>(live));
    steps.push_back(x.select(0, t).narrow(0, 0, counts.back()));
  }
  if (steps.empty()) fail(op, ": input is ", input, "; it needs a sequence or more");
  result.data = cat(steps, 0);
  result.batch_sizes = tensor_of(counts);
  return result;
}

Tensors pad_packed_sequence(const Tensor& data, const Tensor& batch_sizes,
                            const Tensor& unsorted_indices, bool batch_first, double padding_value,
                            std::optional<int64_t> total_length) {
  const char* op = "pad_packed_sequence";
  const std::vector<int64_t> sizes = integers(batch_sizes);
  const int64_t steps = static_cast<int64_t>(sizes.size());
  if (sizes.empty()) fail(op, ": batch_sizes are ", batch_sizes, "; they need a step or more");
  int64_t tokens = 0;
  if (data.dim() < 1) fail(op, ": data is ", data, "; it needs a dimension of tokens");
  for (size_t t = 0; t < sizes.size(); ++t) {
    tokens += sizes[t];
    if (sizes[t] < 1 || sizes[t] > sizes[0] || (t > 0 && sizes[t] > sizes[t - 1]) ||
        tokens > data.size(0)) {
      fail(op, ": batch_sizes are ", batch_sizes, " with ", sizes[t], " at ", t,
           "; they must be positive, and none larger than the one before");
    }
  }
  if (data.size(0) != tokens) {
    fail(op, ": data is ", data, "; batch_sizes add up to ", tokens, " rows");
  }
  if (total_length && *total_length < steps)
    fail(op, ": total_length is ", *total_length, "; the longest sequence has ", steps, " steps");
  const int64_t rows = sizes[0], total = total_length.value_or(steps);
  std::vector<int64_t> lengths(static_cast<size_t>(rows), 0);
  Tensors padded;
  int64_t at = 0;
  for (int64_t t = 0; t < steps; ++t) {
    const int64_t live = sizes[static_cast<size_t>(t)];
    for (int64_t i = 0; i < live; ++i) ++lengths[static_cast<size_t>(i)];
    Tensors parts;
    parts.push_back(data.narrow(0, at, live));
    at += live;
    if (live < rows) {
      Shape rest = data.shape();
      rest[0] = rows - live;
      parts.push_back(Tensor::full(rest, padding_value, data.dtype()));
    }
    padded.push_back((parts.size() == 1 ? parts[0] : cat(parts, 0)).unsqueeze(0));
  }
  if (total > steps) {
    Shape rest = padded[0].shape();
    rest[0] = total - steps;
    padded.push_back(Tensor::full(rest, padding_value, data.dtype()));
  }
  Tensor x = cat(padded, 0), counts = tensor_of(lengths);
  if (unsorted_indices.defined()) {
    x = index_select(x, 1, unsorted_indices);
    counts = index_select(counts, 0, unsorted_indices);
  }
  return {batch_first ? x.transpose(0, 1) : x, counts};
}

Tensor pad_sequence(const Tensors& sequences, bool batch_first, double padding_value,
                    std::string_view padding_side) {
  const char* op = "pad_sequence";
  if (sequences.empty()) fail(op, ": there are no sequences; give one or more");
  if (padding_side != "left" && padding_side != "right")
    fail(op, ": padding_side is ", padding_side, "; it needs left or right");
  int64_t longest = 0;
  for (const Tensor& s : sequences) {
    if (s.dim() == 0) fail(op, ": a sequence is ", s, "; it needs [T, ...]");
    longest = std::max(longest, s.size(0));
  }
  const int at = batch_first ? 0 : 1;
  Tensors padded;
  for (const Tensor& s : sequences) {
    Tensor x = s;
    if (s.size(0) < longest) {
      Shape rest = s.shape();
      rest[0] = longest - s.size(0);
      const Tensor filling = Tensor::full(rest, padding_value, s.dtype());
      x = padding_side == "right" ? cat({s, filling}, 0) : cat({filling, s}, 0);
    }
    padded.push_back(x.unsqueeze(at));
  }
  return cat(padded, at);
}

}  // namespace tallow
