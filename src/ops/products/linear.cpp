// linear, linear_concat and gated_linear: x times weights of any dtype, transposed. One op takes
// one or more weights side by side, as PyTorch's linear would with the weights concatenated.
#include <algorithm>

#include "ops/block_rows.h"
#include "ops/elements.h"
#include "ops/products/observer.h"
#include "ops/products/products.h"
#include "ops/registry.h"
#include "ops/rows.h"

namespace tallow {

std::atomic<LinearObserver*> linear_observer{nullptr};

namespace {

void observe(const Tensor& x, const Tensor& weight) {
  if (LinearObserver* observer = linear_observer.load(std::memory_order_relaxed)) {
    observer->see(x, weight);
  }
}

// A weight may be narrower than f32 or f64 activations: models keep the dtype of their files.
bool reads_as(const Tensor& x, const Tensor& weight) {
  if (x.dtype() == weight.dtype() || is_block(weight.dtype())) return true;
  const int bytes = info(x.dtype()).bytes;
  return bytes >= 4 && info(weight.dtype()).bytes < bytes;
}

void check_weight(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias) {
  if (!weight.defined())
    fail(op, ": a weight is missing; give a tensor [n, ", x.shape().back(), "]");
  const DTypeKind kind = info(weight.dtype()).kind;
  if (kind != DTypeKind::real && kind != DTypeKind::block)
    fail(op, ": weight is ", weight, "; it needs a real or block dtype");
  if (weight.dim() != 2 || weight.size(1) != x.shape().back())
    fail(op, ": weight ", weight, " does not fit x ", x, "; it needs [n, ", x.shape().back(), "]");
  if (!reads_as(x, weight))
    fail(op, ": x ", x, " and weight ", weight, " differ in dtype; convert one with .to()");
  if (!bias.defined()) return;
  check_real(op, "bias", bias, 1);
  if (bias.dim() != 1 || bias.size(0) != weight.size(0))
    fail(op, ": bias ", bias, " does not fit weight ", weight, "; it needs [", weight.size(0), "]");
}

DType result_type(Inputs in) { return in[0].dtype(); }

Specs infer(Inputs in, const LinearOptions& options) {
  check_real("linear", "x", in[0], 1);
  int64_t n = 0;
  for (int i = 1; i <= options.weights; ++i) {
    check_weight("linear", in[0], in[i], in[i + options.weights]);
    n += in[i].size(0);
  }
  Shape shape = in[0].shape();
  shape.back() = n;
  return {{shape, result_type(in)}};
}

Specs gated_infer(Inputs in, const NoOptions&) {
  check_real("gated_linear", "x", in[0], 1);
  check_weight("gated_linear", in[0], in[1], in[3]);
  check_weight("gated_linear", in[0], in[2], in[4]);
  if (in[1].size(0) != in[2].size(0))
    fail("gated_linear: gate ", in[1], " and up ", in[2], " differ; they need one shape");
  Shape shape = in[0].shape();
  shape.back() = in[1].size(0);
  return {{shape, result_type(in)}};
}

// The sum of the rows of g [rows, n].
Tensor sum_rows(const Tensor& g) { return sum(g, 0); }

Tensors vjp(const Saved<LinearOptions>& saved, Inputs grads) {
  const Tensor& x = saved.inputs[0];
  const int count = saved.options.weights;
  const int64_t n = grads[0].shape().back(), k = x.shape().back();
  int64_t rows = 1;
  for (int i = 0; i + 1 < x.dim(); ++i) rows *= x.shape()[i];
  const Tensor grad = grads[0].reshape({rows, n});
  Tensors result(saved.inputs.size());
  int64_t column = 0;
  for (int i = 1; i <= count; ++i) {
    const Tensor &weight = saved.inputs[i], &bias = saved.inputs[i + count];
    const Tensor g = grad.narrow(1, column, weight.size(0));
    column += weight.size(0);
    if (x.requires_grad()) {
      const Tensor part = matmul(g, weight.to(g.dtype())).to(x.dtype());
      result[0] = result[0] ? result[0] + part : part;
    }
    if (weight.requires_grad()) {
      const Tensor flat = x.reshape({rows, k}).to(g.dtype());
      result[i] = matmul(g.transpose(0, 1), flat).to(weight.dtype());
    }
    if (bias && bias.requires_grad()) result[i + count] = sum_rows(g).to(bias.dtype());
  }
  if (result[0]) result[0] = result[0].reshape(x.shape());
  return result;
}

// Row j of a weight as f32 or f64.
const float* weight_row(const Tensor& weight, int64_t j, std::vector<float>& row) {
  const DTypeInfo& type = info(weight.dtype());
  const int64_t k = weight.size(1);
  block_row_to_f32(weight,
                   static_cast<const std::byte*>(weight.raw()) + j * (k / type.block) * type.bytes,
                   row.data());
  return row.data();
}
const double* weight_row(const Tensor& weight, int64_t j, std::vector<double>&) {
  return weight.data<double>() + j * weight.size(1);
}

template <class T>
void multiply(Inputs in, const Tensor& out, int count) {
  const Tensor x = in[0].to(out.dtype()).contiguous();
  const int64_t k = x.shape().back(), n = out.shape().back();
  const int64_t rows = n == 0 ? 0 : out.numel() / n;
  const T* input = x.data<T>();
  T* y = out.data<T>();
  std::vector<T> buffer(static_cast<size_t>(k));
  for (int i = 1; i <= count; ++i) {
    Tensor weight = in[i].contiguous(), bias = in[i + count];
    if (out.dtype() == DType::f64) weight = weight.to(DType::f64);
    if (bias) bias = bias.to(out.dtype()).contiguous();
    for (int64_t j = 0; j < weight.size(0); ++j, ++y) {
      const T* w = weight_row(weight, j, buffer);
      for (int64_t r = 0; r < rows; ++r) {
        T total = bias ? bias.data<T>()[j] : T(0);
        for (int64_t c = 0; c < k; ++c) total += input[r * k + c] * w[c];
        y[r * n] = total;
      }
    }
  }
}

void cpu(Inputs in, Outputs out, const LinearOptions& options) {
  compute_real(out[0], [&](const Tensor& y) {
    if (y.dtype() == DType::f64) return multiply<double>(in, y, options.weights);
    multiply<float>(in, y, options.weights);
  });
}

Tensor one_linear(const Tensor& x, const Tensor& weight, const Tensor& bias, DType type) {
  Tensor y = matmul(x.to(type), weight.to(type).transpose(0, 1));
  return bias ? y + bias.to(type) : y;
}

Tensors composite(Inputs in, const LinearOptions& options) {
  Tensors parts;
  for (int i = 1; i <= options.weights; ++i) {
    parts.push_back(one_linear(in[0], in[i], in[i + options.weights], result_type(in)));
  }
  return {parts.size() == 1 ? parts[0] : cat(parts, -1)};
}

Tensors gated_composite(Inputs in, const NoOptions&) {
  const DType type = result_type(in);
  return {swiglu(linear(in[0].to(type), in[1], in[3]), linear(in[0].to(type), in[2], in[4]))};
}

void gated_cpu(Inputs in, Outputs out, const NoOptions&) {
  const Tensor up = Tensor::empty(out[0].shape(), out[0].dtype());
  const Tensor gate_inputs[] = {in[0], in[1], in[3]}, up_inputs[] = {in[0], in[2], in[4]};
  const Tensor up_output[] = {up};
  cpu(gate_inputs, out, {1});
  cpu(up_inputs, up_output, {1});
  const Tensor both[] = {out[0], up};
  swiglu_op.fn.cpu(Inputs(both), out, {});
}

double row_count(const Tensor& x) {
  const int64_t k = x.shape().back(), rows = k == 0 ? 0 : x.numel() / k;
  return static_cast<double>(rows);
}

Work work(Inputs in, Outputs, const LinearOptions& options) {
  double weights = 0;
  for (int i = 1; i <= options.weights; ++i) weights += static_cast<double>(in[i].numel());
  return {.flops = 2.0 * row_count(in[0]) * weights};
}

Work gated_work(Inputs in, Outputs, const NoOptions&) {
  return {.flops = 4.0 * row_count(in[0]) * static_cast<double>(in[1].numel())};
}

}  // namespace

constinit Op<LinearOptions> linear_op{
    "linear", {.infer = infer, .vjp = vjp, .cpu = cpu, .composite = composite, .work = work}};
constinit Op<> gated_linear_op{
    "gated_linear",
    {.infer = gated_infer, .cpu = gated_cpu, .composite = gated_composite, .work = gated_work}};

Tensor linear(const Tensor& input, const Tensor& weight, const Tensor& bias) {
  const bool vector = weight.defined() && weight.dim() == 1 && !is_block(weight.dtype());
  if (!vector && is_real(input.dtype())) {
    observe(input, weight);
    return apply(linear_op, {input, weight, bias}, {1});
  }
  if (!weight.defined() || weight.dim() < 1 || weight.dim() > 2)
    fail("linear: weight is ", weight, "; it needs 1 or 2 dimensions");
  const Tensor y = matmul(input, vector ? weight : weight.transpose(0, 1));
  return bias ? y + bias : y;
}

Tensor linear_concat(const Tensor& x, const Tensors& weights, const Tensors& biases) {
  if (weights.empty()) fail("linear_concat: no weights; give at least one");
  if (!biases.empty() && biases.size() != weights.size())
    fail("linear_concat: ", static_cast<int64_t>(weights.size()), " weights and ",
         static_cast<int64_t>(biases.size()), " biases; give one for each weight, or none");
  for (const Tensor& weight : weights) observe(x, weight);
  Tensors inputs{x};
  inputs.insert(inputs.end(), weights.begin(), weights.end());
  inputs.insert(inputs.end(), biases.begin(), biases.end());
  inputs.resize(1 + 2 * weights.size());
  return apply_many(linear_op, inputs, {static_cast<int>(weights.size())})[0];
}

Tensor gated_linear(const Tensor& x, const Tensor& gate, const Tensor& up, const Tensor& gate_bias,
                    const Tensor& up_bias) {
  observe(x, gate);
  observe(x, up);
  return apply(gated_linear_op, {x, gate, up, gate_bias, up_bias});
}

}  // namespace tallow
