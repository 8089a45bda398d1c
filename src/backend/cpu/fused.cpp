// Binds the small fused ops to the vector kernels of this machine's instruction set. A kernel here
// checks for the plain case (f32, contiguous), divides the work, and leaves the rest to the op's
// portable kernel.
#include "backend/cpu/fused.h"

#include "backend/cpu/kernels.h"
#include "ops/inference/paged_attention.h"
#include "ops/rows.h"
#include "tallow/parallel.h"

namespace tallow::cpu {

namespace {

constexpr int64_t kGrain = 16384;  // elements below which a second thread costs more than it gains

const FusedKernels* kernels = &isa_portable::fused_kernels;

/// Calls fn(begin, end) over rows of `width` elements, on several threads where there are many.
template <class F>
void over_rows(int64_t rows, int64_t width, const F& fn) {
  if (rows * width < 2 * kGrain) return fn(int64_t{0}, rows);
  parallel_for(rows, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, width)),
               [&](int64_t begin, int64_t end, int) { fn(begin, end); });
}

/// delta, sum: null for rms_norm alone.
void normalize(const Tensor& x, const float* delta, const Tensor& weight, float* sum,
               const Tensor& y, double eps) {
  const int64_t n = x.shape().back(), rows = n == 0 ? 0 : x.numel() / n;
  const float *from = x.data<float>(), *w = weight.data<float>();
  float* to = y.data<float>();
  over_rows(rows, n, [&](int64_t begin, int64_t end) {
    const int64_t at = begin * n;
    kernels->rms_norm(from + at, delta ? delta + at : nullptr, w, sum ? sum + at : nullptr, to + at,
                      end - begin, n, static_cast<float>(eps));
  });
}

void rms_norm(Inputs in, Outputs out, const RmsNormOptions& options) {
  if (in[0].dtype() != DType::f32) return rms_norm_op.fn.cpu(in, out, options);
  const Tensor x = in[0].contiguous(), weight = as_f32(in[1]);
  normalize(x, nullptr, weight, nullptr, out[0], options.eps);
}

void add_rms_norm(Inputs in, Outputs out, const RmsNormOptions& options) {
  if (in[0].dtype() != DType::f32) return add_rms_norm_op.fn.cpu(in, out, options);
  const Tensor x = in[0].contiguous(), delta = in[1].contiguous(), weight = as_f32(in[2]);
  normalize(x, delta.data<float>(), weight, out[0].data<float>(), out[1], options.eps);
}

void swiglu(Inputs in, Outputs out, const NoOptions& options) {
  if (in[0].dtype() != DType::f32) return swiglu_op.fn.cpu(in, out, options);
  const Tensor gates = in[0].contiguous(), ups = in[1].contiguous();
  const float *gate = gates.data<float>(), *up = ups.data<float>();
  float* y = out[0].data<float>();
  over_rows(in[0].numel(), 1, [&](int64_t begin, int64_t end) {
    kernels->swiglu(gate + begin, up + begin, y + begin, end - begin);
  });
}

void rope(Inputs in, Outputs out, const RopeCallOptions& options) {
  if (in[0].dtype() != DType::f32) return rope_op.fn.cpu(in, out, options);
  const Tensor x = token_rows(in[0]), positions = in[1].contiguous(),
               frequencies = in[2].contiguous();
  const int64_t axes = positions.dim() == 2 ? positions.size(1) : 1;
  const RopeCall call{.x = x.data<float>(),
                      .x_stride = token_stride(x),
                      .y = out[0].data<float>(),
                      .positions = positions.data<int32_t>(),
                      .frequencies = frequencies.data<float>(),
                      .heads = x.size(1),
                      .axes = axes,
                      .dim = x.size(2) / axes,
                      .half = frequencies.size(0),
                      .interleaved = options.interleaved,
                      .scale = options.scale};
  over_rows(x.size(0), x.size(1) * x.size(2),
            [&](int64_t begin, int64_t end) { kernels->rope(call, begin, end); });
}

void kv_cache_write(Inputs in, Outputs out, const NoOptions& options) {
  const Tensor &k = in[0], &v = in[1];
  if (k.dtype() != DType::f32 && k.dtype() != DType::bf16) {
    return kv_cache_write_op.fn.cpu(in, out, options);
  }
  const Tensor keys = token_rows(in[2]), values = token_rows(in[3]), slots = in[4].contiguous();
  check_slots(k, slots);
  const CacheWrite call{.k_cache = k.raw(),
                        .v_cache = v.raw(),
                        .bf16 = k.dtype() == DType::bf16,
                        .keys = keys.data<float>(),
                        .values = values.data<float>(),
                        .key_stride = token_stride(keys),
                        .value_stride = token_stride(values),
                        .slots = slots.data<int32_t>(),
                        .tokens = slots.numel(),
                        .kv_heads = k.size(1),
                        .page_size = k.size(2),
                        .dim = k.size(3)};
  over_rows(k.size(1), slots.numel() * k.size(3),
            [&](int64_t begin, int64_t end) { kernels->cache_write(call, begin, end); });
}

/// Splits the ids, so that a long prompt's rows are converted on every thread.
void embedding_rows(Inputs in, Outputs out, const NoOptions& options) {
  const int64_t dim = in[0].size(1), count = in[1].numel();
  if (count * dim < 2 * kGrain) return embedding_rows_op.fn.cpu(in, out, options);
  const Tensor ids = in[1].contiguous().reshape({count}), rows = out[0].reshape({count, dim});
  over_rows(count, dim, [&](int64_t begin, int64_t end) {
    const Tensor inputs[] = {in[0], ids.narrow(0, begin, end - begin)};
    const Tensor outputs[] = {rows.narrow(0, begin, end - begin)};
    embedding_rows_op.fn.cpu(Inputs(inputs), Outputs(outputs), options);
  });
}

}  // namespace

Tensor token_rows(const Tensor& x) {
  const bool rows = x.strides()[2] == 1 && x.strides()[1] == x.size(2);
  if (x.dtype() == DType::f32 && (x.is_contiguous() || rows)) return x;
  return as_f32(x);
}
int64_t token_stride(const Tensor& x) {
  return x.is_contiguous() ? x.size(1) * x.size(2) : x.strides()[0];
}

void bind_fused() {
  kernels = &TALLOW_BY_ISA(fused_kernels);
  rms_norm_op.bind(DeviceKind::cpu, rms_norm);
  add_rms_norm_op.bind(DeviceKind::cpu, add_rms_norm);
  swiglu_op.bind(DeviceKind::cpu, swiglu);
  rope_op.bind(DeviceKind::cpu, rope);
  kv_cache_write_op.bind(DeviceKind::cpu, kv_cache_write);
  embedding_rows_op.bind(DeviceKind::cpu, embedding_rows);
  bind_attention();
}

}  // namespace tallow::cpu
