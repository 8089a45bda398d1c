// The CPU kernels of linear and gated_linear: which product serves which weight and how many rows.
#include "backend/cpu/linear.h"

#include <vector>

#include "backend/cpu/gemm/driver.h"
#include "backend/cpu/gemm/gemm.h"
#include "backend/cpu/quant/quant.h"
#include "backend/cpu/weight_forms.h"
#include "core/tensor_impl.h"
#include "ops/block_rows.h"
#include "ops/elements.h"
#include "ops/registry.h"
#include "ops/rows.h"
#include "tallow/parallel.h"

namespace tallow::cpu {
namespace {

constexpr int kMostInline = 16;  // weights of a call without a trip to the allocator

// The tensors that a call computes with: converted or made contiguous where they must be. Kept
// beside the weights that point into them.
struct Call {
  Weight weights[kMostInline];
  std::shared_ptr<void> forms[kMostInline];
  Tensor tensors[kMostInline];
  bool by_rows = false;  // a form found no room
  std::vector<Tensor> converted;
  int count = 0;

  void add(Tensor weight, Tensor bias, DType type) {
    if (type == DType::f64) weight = keep(weight.to(type));
    const bool strided = weight.dtype() == DType::f32 || weight.dtype() == DType::f64;
    if (!strided && !weight.is_contiguous()) weight = keep(weight.contiguous());
    if (bias && (bias.dtype() != type || !bias.is_contiguous())) {
      bias = keep(bias.to(type).contiguous());
    }
    HeldWeight held = hold(weight, bias);
    by_rows |= finds_no_room(held.weight);
    weights[count] = held.weight;
    forms[count] = std::move(held.form);
    tensors[count++] = std::move(weight);
  }
  Tensor keep(const Tensor& t) {
    converted.push_back(t);
    return t;
  }
  std::span<const Weight> all() const { return {weights, static_cast<size_t>(count)}; }
};

template <class Pred>
bool all_of(std::span<const Weight> weights, Pred pred) {
  return std::all_of(weights.begin(), weights.end(), pred);
}

bool is_blocks(const Weight& w) { return w.form == Weight::Form::blocks; }
bool is_real_blocks(const Weight& w) { return is_blocks(w) && !takes_bytes(w.dtype); }
bool is_bf16(const Weight& w) { return w.dtype == DType::bf16; }
bool has_form(const Weight& w) { return w.form != Weight::Form::rows; }

// Products with packed blocks: x in 8 bits, one parallel region over units of 16 columns.
void product_blocks(const Activations<float>& x, std::span<const Weight> weights, float* y,
                    int64_t ldy, bool gated) {
  const int64_t bytes = QuantizedRows::bytes(x.m, x.k);
  const QuantizedRows rows =
      quantize_rows(x.data, x.m, x.k, x.row_stride, scratch(Scratch::x, bytes));
  struct Engine : Epilogue<float> {
    const QuantizedRows& x;
    explicit Engine(const QuantizedRows& r) : x(r) {}
    void unit(const Unit& unit, int64_t m0, int64_t m1, int64_t, int64_t, float* c, int64_t ldc,
              bool) const {
      block_matmul(*static_cast<const PackedBlocks*>(unit.weight->data), x, m0, m1, unit.n0,
                   unit.n0 + unit.columns, c - m0 * ldc - unit.n0, ldc);
    }
  };
  const Units units(weights, x.m > 8 ? 64 : 2 * kGroup, gated);
  const double work =
      static_cast<double>(x.m) * static_cast<double>(x.k) * static_cast<double>(units.count()) * 8;
  const Cut cut = cut_product(x.m, units.count(), 256, std::max<int64_t>(x.k, 1), work);
  run_product<float>(Engine(rows), cut, x.m, x.k, weights, units, y, ldy, gated);
}

// The same with x as it is.
void product_real_blocks(const Activations<float>& x, std::span<const Weight> weights, float* y,
                         int64_t ldy, bool gated) {
  struct Engine : Epilogue<float> {
    const Activations<float>& x;
    explicit Engine(const Activations<float>& rows) : x(rows) {}
    void unit(const Unit& unit, int64_t m0, int64_t m1, int64_t, int64_t, float* c, int64_t ldc,
              bool) const {
      real_matmul(*static_cast<const PackedBlocks*>(unit.weight->data), x.data, x.row_stride, m0,
                  m1, unit.n0, unit.n0 + unit.columns, c - m0 * ldc - unit.n0, ldc);
    }
  };
  const Units units(weights, 2 * kGroup, gated);
  const double work =
      static_cast<double>(x.m) * static_cast<double>(x.k) * static_cast<double>(units.count()) * 8;
  const Cut cut = cut_product(x.m, units.count(), 256, std::max<int64_t>(x.k, 1), work);
  run_product<float>(Engine(x), cut, x.m, x.k, weights, units, y, ldy, gated);
}

constexpr int64_t kManyRows = 24;  // from here a dequantized panel is paid back
constexpr int64_t kFewRows = 8;    // up to here reading the weight takes longer than the arithmetic

Bf16Rows as_bf16(const Activations<float>& x) {
  return {x.data, DType::f32, x.m, x.k, x.row_stride, x.k_stride};
}

void multiply(const Activations<float>& x, std::span<const Weight> weights, float* y, int64_t ldy,
              bool gated) {
  const bool few = x.m <= kFewRows;
  if (weights.size() == 1 && takes_few_rows(x, weights[0])) {
    return product_few(x, weights[0], y, ldy);
  }
  if (all_of(weights, is_blocks)) {
    const bool amx = isa() == Isa::amx && x.m >= kManyRows;
    if (amx) return product_bf16(as_bf16(x), weights, y, ldy, gated);
    return is_real_blocks(weights[0]) ? product_real_blocks(x, weights, y, ldy, gated)
                                      : product_blocks(x, weights, y, ldy, gated);
  }
  if (!few && has_bf16_product() && all_of(weights, is_bf16)) {
    return product_bf16(as_bf16(x), weights, y, ldy, gated);
  }
  product<float>(x, weights, y, ldy, gated);
}

// One weight of a call.
void multiply_one(const Activations<float>& x, const Call& call, int i, float* y, int64_t ldy) {
  const Weight& w = call.weights[i];
  if (!finds_no_room(w)) return multiply(x, {&w, 1}, y, ldy, false);
  in_slices({&call.tensors[i], 1}, {&w, 1}, [&](std::span<const Weight> slice, int64_t row) {
    multiply(x, slice, y + row, ldy, false);
  });
}

// Mixed weights go one by one: the products take weights of one kind.
bool one_kind(std::span<const Weight> weights) {
  const auto of_bytes = [](const Weight& w) { return is_blocks(w) && !is_real_blocks(w); };
  return all_of(weights, of_bytes) || all_of(weights, is_real_blocks) || all_of(weights, is_bf16) ||
         all_of(weights, [](const Weight& w) { return !is_blocks(w); });
}

// One past the last of the weights from `first` on that one call takes: those whose columns stand
// in the same order.
int end_of_call(Inputs in, int first, int count) {
  const int most = std::min(count + 1, first + kMostInline);
  int end = first + 1;
  while (end < most && same_column_order(in[first], in[end])) ++end;
  return end;
}

void linear_f32(Inputs in, const Tensor& out, int count) {
  const Tensor natural = as_f32(in[0]);
  const int64_t k = natural.shape().back(), n = out.shape().back();
  const int64_t m = n == 0 ? 0 : out.numel() / n;
  float* y = out.data<float>();
  for (int first = 1; first <= count;) {
    Call call;
    int64_t width = 0;
    const int last = end_of_call(in, first, count);
    const Tensor x = in_column_order(natural, in[first]);
    const Activations<float> rows{x.data<float>(), m, k, k, 1};
    for (; first < last; ++first) call.add(in[first], in[first + count], DType::f32);
    const bool together = one_kind(call.all()) && !call.by_rows;
    if (together) multiply(rows, call.all(), y, n, false);
    for (int i = 0; i < call.count; width += call.weights[i++].n) {
      if (!together) multiply_one(rows, call, i, y + width, n);
    }
    y += width;
  }
}

void linear_f64(Inputs in, const Tensor& out, int count) {
  const Tensor x = in[0].to(DType::f64).contiguous();
  const int64_t k = x.shape().back(), n = out.shape().back();
  const Activations<double> rows{x.data<double>(), n == 0 ? 0 : out.numel() / n, k, k, 1};
  double* y = out.data<double>();
  for (int i = 1; i <= count; ++i) {
    Call call;
    call.add(in[i], in[i + count], DType::f64);
    product<double>(rows, call.all(), y, n);
    y += call.weights[0].n;
  }
}

// bf16 in and out without a copy in f32; false where there is no such product.
bool linear_bf16(Inputs in, const Tensor& out) {
  if (out.dtype() != DType::bf16 || in[1].dtype() != DType::bf16 || !has_bf16_product()) {
    return false;
  }
  const Tensor x = in[0].contiguous();
  const int64_t k = x.shape().back(), n = out.shape().back(), m = n == 0 ? 0 : out.numel() / n;
  Call call;
  call.add(in[1], in[2], DType::f32);
  const Weight& w = call.weights[0];
  const Bf16Rows rows{x.raw(), DType::bf16, m, k, k, 1};
  if (takes_few_rows({nullptr, m, k, k, 1}, w) && !streams_weight(rows, w)) return false;
  auto* y = static_cast<uint16_t*>(out.raw());
  if (!call.by_rows) {
    product_bf16(rows, w, y, n);
    return true;
  }
  in_slices({call.tensors, 1}, call.all(), [&](std::span<const Weight> slice, int64_t row) {
    product_bf16(rows, slice[0], y + row, n);
  });
  return true;
}

void linear(Inputs in, Outputs out, const LinearOptions& options) {
  if (out[0].dtype() == DType::f64) return linear_f64(in, out[0], options.weights);
  if (options.weights == 1 && linear_bf16(in, out[0])) return;
  compute_real(out[0], [&](const Tensor& y) { linear_f32(in, y, options.weights); });
}

// One product of both weights in f32; false where there is none.
bool gated_together(Inputs in, const Tensor& out) {
  if (out.dtype() != DType::f32) return false;
  Call call;
  call.add(in[1], in[3], DType::f32);
  call.add(in[2], in[4], DType::f32);
  if (!one_kind(call.all()) || !same_column_order(in[1], in[2])) return false;
  const Tensor x = in_column_order(as_f32(in[0]), in[1]);
  const int64_t k = x.shape().back(), n = out.shape().back();
  const Activations<float> rows{x.data<float>(), n == 0 ? 0 : out.numel() / n, k, k, 1};
  float* y = out.data<float>();
  if (!call.by_rows) {
    multiply(rows, call.all(), y, n, true);
    return true;
  }
  if (!all_of(call.all(), has_form)) return false;
  in_slices({call.tensors, 2}, call.all(), [&](std::span<const Weight> slices, int64_t row) {
    multiply(rows, slices, y + row, n, true);
  });
  return true;
}

void gated_linear(Inputs in, Outputs out, const NoOptions& options) {
  if (gated_together(in, out[0])) return;
  const Tensor up = Tensor::empty(out[0].shape(), out[0].dtype());
  const Tensor gate_inputs[] = {in[0], in[1], in[3]}, up_inputs[] = {in[0], in[2], in[4]};
  const Tensor up_output[] = {up};
  linear(gate_inputs, out, {1});
  linear(up_inputs, up_output, {1});
  const Tensor both[] = {out[0], up};
  swiglu_op.fn.cpu(Inputs(both), out, options);
}

}  // namespace

void bind_linear() {
  linear_op.bind(DeviceKind::cpu, linear);
  gated_linear_op.bind(DeviceKind::cpu, gated_linear);
  bind_matmul();
}

}  // namespace tallow::cpu
