// Weights whose columns were regrouped when they were repacked, as GPTQ's act-order asks for.
#include "ops/block_rows.h"

#include "ops/rows.h"
#include "tallow/error.h"
#include "tallow/parallel.h"

namespace tallow {

const std::vector<int32_t>* column_order(const Tensor& weight) {
  const auto& buffer = weight.buffer();
  if (!buffer || !buffer->column_order()) return nullptr;
  const std::vector<int32_t>& order = *buffer->column_order();
  if (weight.dim() == 0 || weight.size(-1) != static_cast<int64_t>(order.size())) {
    fail(weight, ": is a view of some of ", order.size(),
         " columns that were regrouped on loading; call .to(f32) before it");
  }
  return &order;
}

void block_row_to_f32(const Tensor& weight, const std::byte* source, float* target) {
  const DTypeInfo& type = info(weight.dtype());
  const int64_t n = weight.size(-1);
  const std::vector<int32_t>* order = column_order(weight);
  if (!order) return type.to_f32(source, target, n);
  thread_local std::vector<float> row;
  row.resize(order->size());
  type.to_f32(source, row.data(), n);
  for (size_t j = 0; j < row.size(); ++j) target[(*order)[j]] = row[j];
}

Tensor in_column_order(const Tensor& x, const Tensor& weight) {
  const std::vector<int32_t>* order = column_order(weight);
  if (!order) return x;
  const Tensor source = as_f32(x);
  const Tensor result = Tensor::empty(x.shape(), DType::f32);
  const auto k = static_cast<int64_t>(order->size());
  constexpr int64_t kGrain = 16 << 10;
  parallel_for(k == 0 ? 0 : x.numel() / k, std::max<int64_t>(1, kGrain / std::max<int64_t>(k, 1)),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t r = begin; r < end; ++r) {
                   const float* from = source.data<float>() + r * k;
                   float* to = result.data<float>() + r * k;
                   for (int64_t j = 0; j < k; ++j) to[j] = from[(*order)[static_cast<size_t>(j)]];
                 }
               });
  return result;
}

bool same_column_order(const Tensor& a, const Tensor& b) {
  const std::vector<int32_t>*first = column_order(a), *second = column_order(b);
  return first == second || (first && second && *first == *second);
}

}  // namespace tallow
