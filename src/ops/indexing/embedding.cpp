// embedding and embedding_bag: rows of a table by index, alone or reduced by bags.
#include <cmath>

#include "ops/elements.h"
#include "ops/indexing/indices.h"
#include "tallow/autograd.h"
#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

struct LookupOptions {
  int64_t padding;  // the row without a gradient, or -1
  bool by_frequency;
};

// Where the index is that value, or where it is not.
Tensor equals(const Tensor& index, int64_t value, bool is = true) {
  const Tensor list = contiguous(index.to(DType::i64));
  Tensor mask = Tensor::empty(list.shape(), DType::boolean);
  for (int64_t i = 0; i < list.numel(); ++i) {
    static_cast<bool*>(mask.raw())[i] = (list.data<int64_t>()[i] == value) == is;
  }
  return mask;
}

// 1 / how often each index occurs.
Tensor frequency_scale(const Tensor& index, int64_t rows, DType dtype) {
  const Tensor list = checked_index("embedding", index, rows, false);
  std::vector<double> counts(static_cast<size_t>(rows), 0);
  for (int64_t i = 0; i < list.numel(); ++i) ++counts[static_cast<size_t>(list.data<int64_t>()[i])];
  Tensor scale = Tensor::empty({list.numel(), 1}, DType::f64);
  for (int64_t i = 0; i < list.numel(); ++i) {
    scale.data<double>()[i] = 1 / counts[static_cast<size_t>(list.data<int64_t>()[i])];
  }
  return scale.to(dtype);
}

Tensors lookup_vjp(const Saved<LookupOptions>& saved, Inputs grads) {
  const LookupOptions& o = saved.options;
  const Tensor &weight = saved.inputs[0], &index = saved.inputs[1];
  Tensor g = grads[0];
  if (o.padding >= 0) g = masked_fill(g, unsqueeze(equals(index, o.padding), 1), 0);
  if (o.by_frequency) g = g * frequency_scale(index, weight.shape()[0], g.dtype());
  return {index_add(zeros(weight.shape(), g.dtype()), 0, index, g), Tensor()};
}

// index_select, but for the gradient.
constinit Op<LookupOptions> lookup_op{
    "embedding",
    {.infer =
         [](Inputs in, const LookupOptions&) {
           return Specs{{{in[1].numel(), in[0].shape()[1]}, in[0].dtype()}};
         },
     .vjp = lookup_vjp,
     .cpu =
         [](Inputs in, Outputs out, const LookupOptions&) {
           const Tensor& w = in[0];
           const Tensor list = checked_index("embedding", in[1], w.shape()[0], false);
           Tensor at = list;
           if (w.strides()[0] != 1) {
             at = Tensor::empty(list.shape(), DType::i64);
             for (int64_t i = 0; i < list.numel(); ++i) {
               at.data<int64_t>()[i] = list.data<int64_t>()[i] * w.strides()[0];
             }
           }
           const Slices s{{}, {}, {w.shape()[1]}, {w.strides()[1]}, at.data<int64_t>(), at.numel()};
           read_slices(w, s, out[0]);
         },
     .reads = [](uint32_t) { return 2u; }}};

void check(const char* op, const Tensor& input, const Tensor& weight) {
  check_index_dtype(op, input);
  check_not_block(op, weight);
  if (weight.dim() != 2) fail(op, ": weight is ", weight, "; it needs [rows, dim]");
}

int64_t padding_row(const char* op, std::optional<int64_t> index, const Tensor& weight) {
  if (!index) return -1;
  const int64_t rows = weight.shape()[0];
  if (*index < -rows || *index >= rows) {
    fail(op, ": padding_idx ", *index, " is outside the ", rows, " rows of weight");
  }
  return *index < 0 ? *index + rows : *index;
}

// Rows that are longer than max_norm are scaled down to it, in the weight's memory.
void renormalize(const Tensor& weight, const Tensor& index, double max_norm, double norm_type) {
  NoGrad no_grad;
  const Tensor list = checked_index("embedding", index, weight.shape()[0], false);
  std::vector<bool> seen(static_cast<size_t>(weight.shape()[0]), false);
  for (int64_t i = 0; i < list.numel(); ++i) {
    const int64_t row = list.data<int64_t>()[i];
    if (seen[static_cast<size_t>(row)]) continue;
    seen[static_cast<size_t>(row)] = true;
    Tensor values = select(weight.detach(), 0, row);
    const Tensor wide = contiguous(values.to(DType::f64));
    double norm = 0;
    for (int64_t j = 0; j < wide.numel(); ++j) {
      const double x = std::abs(wide.data<double>()[j]);
      norm = std::isinf(norm_type) ? std::max(norm, x) : norm + std::pow(x, norm_type);
    }
    if (!std::isinf(norm_type)) norm = std::pow(norm, 1 / norm_type);
    if (norm > max_norm) values.copy_(wide * (max_norm / (norm + 1e-7)));
  }
}

Tensor lookup(const Tensor& weight, const Tensor& index, const LookupOptions& o) {
  return apply(lookup_op, {weight, reshape(index, {-1})}, o);
}

// The bag that each index belongs to, as offsets say; those in front of the first belong to none.
Tensor bags_of(const Tensor& offsets, int64_t count, int64_t bags) {
  const Tensor list = contiguous(offsets.to(DType::i64));
  const int64_t* start = list.data<int64_t>();
  if (list.numel() > 0 && start[0] != 0)
    fail("embedding_bag: offsets begin with ", start[0], ", not 0");
  Tensor bag = Tensor::empty({count}, DType::i64);
  int64_t at = 0;
  for (int64_t b = 0; b < bags; ++b) {
    const int64_t end = b + 1 < list.numel() ? start[b + 1] : count;
    if (end < at || end > count) {
      fail("embedding_bag: offset ", end, " is out of order, or beyond ", count, " indices");
    }
    while (at < end) bag.data<int64_t>()[at++] = b;
  }
  return narrow(bag, 0, 0, at);
}

struct Bags {
  Tensor input, bag, weights;
  int64_t count;
};

// Input as a vector, with the bag of each index.
Bags flat_bags(const Tensor& input, const Tensor& offsets, const Tensor& weights, bool with_last) {
  if (weights.defined() && weights.shape() != input.shape()) {
    fail("embedding_bag: per_sample_weights ", weights, " need the shape of input ", input);
  }
  if (input.dim() == 2) {
    if (offsets.defined()) fail("embedding_bag: input of 2 dimensions takes no offsets");
    const int64_t bags = input.shape()[0], n = input.shape()[1];
    const Tensor bag = repeat_interleave(arange(bags), n);
    return {reshape(input, {-1}), bag, weights.defined() ? reshape(weights, {-1}) : weights, bags};
  }
  if (input.dim() != 1) fail("embedding_bag: input is ", input, "; it needs 1 or 2 dimensions");
  if (!offsets.defined() || offsets.dim() != 1) {
    fail("embedding_bag: input of 1 dimension needs a vector of offsets");
  }
  check_index_dtype("embedding_bag", offsets);
  if (with_last && offsets.numel() == 0) fail("embedding_bag: include_last_offset needs an offset");
  const int64_t bags = offsets.numel() - (with_last ? 1 : 0);
  const Tensor bag = bags_of(offsets, input.numel(), bags);
  const auto cut = [&](const Tensor& t) { return t.defined() ? narrow(t, 0, 0, bag.numel()) : t; };
  return {cut(input), bag, cut(weights), bags};
}

}  // namespace

Tensor embedding(const Tensor& input, const Tensor& weight, std::optional<int64_t> padding_idx,
                 std::optional<double> max_norm, double norm_type, bool scale_grad_by_freq,
                 [[maybe_unused]] bool sparse) {
  check("embedding", input, weight);
  const int64_t padding = padding_row("embedding", padding_idx, weight);
  if (max_norm) renormalize(weight, input, *max_norm, norm_type);
  Shape shape = input.shape();
  shape.push_back(weight.shape()[1]);
  return reshape(lookup(weight, input, {padding, scale_grad_by_freq}), shape);
}

Tensor embedding_bag(const Tensor& input, const Tensor& weight, const Tensor& offsets,
                     std::optional<double> max_norm, double norm_type, bool scale_grad_by_freq,
                     std::string_view mode, [[maybe_unused]] bool sparse,
                     const Tensor& per_sample_weights, bool include_last_offset,
                     std::optional<int64_t> padding_idx) {
  if (mode != "sum" && mode != "mean" && mode != "max") {
    fail("embedding_bag: mode \"", mode, "\" is none of sum, mean, max");
  }
  if (per_sample_weights.defined() && mode != "sum") {
    fail("embedding_bag: per_sample_weights need mode \"sum\", not \"", mode, "\"");
  }
  if (scale_grad_by_freq && mode == "max") {
    fail("embedding_bag: scale_grad_by_freq does not go with mode \"max\"");
  }
  check("embedding_bag", input, weight);
  const int64_t padding = padding_row("embedding_bag", padding_idx, weight);
  if (max_norm) renormalize(weight, input, *max_norm, norm_type);
  Bags b = flat_bags(input, offsets, per_sample_weights, include_last_offset);
  if (padding >= 0) {
    const Tensor kept = true_positions(equals(b.input, padding, false));
    b.input = index_select(b.input, 0, kept);
    b.bag = index_select(b.bag, 0, kept);
    if (b.weights.defined()) b.weights = index_select(b.weights, 0, kept);
  }
  Tensor rows = lookup(weight, b.input, {padding, scale_grad_by_freq});
  // Sums of narrow dtypes are rounded once, at the end.
  rows = rows.to(accumulation_dtype(rows.dtype()));
  if (b.weights.defined()) rows = rows * unsqueeze(b.weights.to(rows.dtype()), 1);
  const Tensor none = zeros({b.count, weight.shape()[1]}, rows.dtype());
  if (mode == "max") {
    const Tensor index = expand(unsqueeze(b.bag, 1), rows.shape());
    return scatter_reduce(none, 0, index, rows, "amax", false).to(weight.dtype());
  }
  const Tensor total = index_add(none, 0, b.bag, rows);
  if (mode == "sum") return total.to(weight.dtype());
  const Tensor ones_each = ones({b.bag.numel()}, rows.dtype());
  const Tensor counts = index_add(zeros({b.count}, rows.dtype()), 0, b.bag, ones_each);
  return (total / unsqueeze(maximum(counts, 1), 1)).to(weight.dtype());
}

}  // namespace tallow
