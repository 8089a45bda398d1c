// Dense attention, backward. Dao 2023 (arXiv 2307.08691), algorithm 2: blocks of queries against
// blocks of keys, the weights computed again from the scores and the saved log-sum-exp.
//
// An Engine holds a head's keys and values and a block's queries in the forms that the five
// products of a block read:
//   load_keys, load_queries     packs them
//   block(...)                  one block: adds to the gradients of queries, keys and values
//   store_queries, store_keys   writes the gradients out
#include <algorithm>
#include <vector>

#include "backend/cpu/sdpa/backward_amx.h"
#include "backend/cpu/sdpa/backward_float.h"
#include "tallow/parallel.h"

namespace tallow::cpu {
namespace {

struct Backward {
  SdpaSizes sizes;
  SdpaOptions options;
  Tensor q, k, v, out, grad, lse;
  SdpaMask mask;
  Tensor grad_q, grad_k, grad_v;

  template <class Engine>
  void run(int64_t batch, int64_t kv_head) const {
    using T = typename Engine::Element;
    Engine engine(sizes);
    engine.load_keys(head_rows<T>(k, batch, kv_head), head_rows<T>(v, batch, kv_head));
    for (int64_t g = 0; g < sizes.group; ++g) {
      const int64_t head = kv_head * sizes.group + g;
      const HeadRows<T> queries = head_rows<T>(q, batch, head);
      for (int64_t row = 0; row < sizes.rows; row += Engine::kQueries) {
        const int64_t count = std::min(Engine::kQueries, sizes.rows - row);
        engine.load_queries(queries, head_rows<T>(grad, batch, head),
                            head_rows<T>(out, batch, head), row, count);
        over_keys(engine, batch, head, row, count);
        engine.store_queries(target<T>(grad_q, batch, head) + row * sizes.dim, count);
      }
    }
    engine.store_keys(target<T>(grad_k, batch, kv_head), target<T>(grad_v, batch, kv_head));
  }

 private:
  template <class T>
  static T* target(const Tensor& x, int64_t batch, int64_t head) {
    return static_cast<T*>(x.raw()) + (batch * x.size(1) + head) * x.size(2) * x.size(3);
  }

  template <class Engine>
  void over_keys(Engine& engine, int64_t batch, int64_t head, int64_t row, int64_t count) const {
    const float* mask_of = mask.head(batch, head);
    const float* lse_of = lse.data<float>() + (batch * sizes.heads + head) * sizes.rows + row;
    for (int64_t key = 0; key < sizes.columns; key += kSdpaKeys) {
      // Whole tiles, as they were packed.
      const int64_t unit = engine.unit();
      int64_t begin = 0, end = count;
      if (options.causal) begin = std::max<int64_t>(0, key - row) / unit * unit;
      if (options.window > 0)
        end = std::min(count, round_up(key + kSdpaKeys - 1 + options.window - row, unit));
      if (begin >= end) continue;
      SdpaBackRows rows{};
      rows.columns = std::min(kSdpaKeys, sizes.columns - key);
      rows.lse = lse_of + begin;
      rows.scale = static_cast<float>(options.scale * 1.4426950408889634);
      rows.grad_scale = static_cast<float>(options.scale);
      rows.mask_row_stride = mask.row_stride(), rows.mask_key_stride = mask.key_stride();
      if (mask_of)
        rows.mask = mask_of + (row + begin) * rows.mask_row_stride + key * rows.mask_key_stride;
      rows.causal = options.causal, rows.window = options.window;
      rows.diagonal = row + begin - key;
      engine.block(key, begin, end, rows);
    }
  }
};

void backward(Inputs in, Outputs result, const SdpaOptions& options) {
  const SdpaSizes sizes(in);
  const bool bf16 = in[0].dtype() == DType::bf16 && isa() >= Isa::amx;
  const bool convert = in[0].dtype() != DType::f32 && !bf16;
  auto operand = [&](const Tensor& x) { return with_rows(convert ? x.to(DType::f32) : x); };
  auto output = [&](const Tensor& x) { return convert ? Tensor::empty(x.shape(), DType::f32) : x; };
  const Backward call{sizes,
                      options,
                      operand(in[0]),
                      operand(in[1]),
                      operand(in[2]),
                      operand(in[4]),
                      operand(in[6].to(in[0].dtype())),
                      in[5].contiguous(),
                      SdpaMask(in[3], sizes),
                      output(result[0]),
                      output(result[1]),
                      output(result[2])};
  parallel_for(sizes.batch * sizes.kv_heads, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t batch = i / sizes.kv_heads, head = i % sizes.kv_heads;
      if (bf16) {
        call.run<AmxBackward>(batch, head);
      } else {
        call.run<FloatBackward>(batch, head);
      }
    }
  });
  if (!convert) return;
  const Tensor* wide[] = {&call.grad_q, &call.grad_k, &call.grad_v};
  for (int i = 0; i < 3; ++i)
    info(result[i].dtype()).from_f32(wide[i]->data<float>(), result[i].raw(), result[i].numel());
}

}  // namespace

void bind_sdpa_backward() { sdpa_backward_op.bind(DeviceKind::cpu, backward); }

}  // namespace tallow::cpu
