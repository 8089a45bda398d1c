// routed_linear: a mixture of experts' linear layer, Shazeer et al. 2017 (arXiv 1701.06538). Rows
// are gathered by expert, so that each weight is read once and those of idle experts never are.
#include <algorithm>
#include <cstring>

#include "ops/registry.h"
#include "ops/rows.h"

namespace tallow {

namespace {

Specs infer(Inputs in, const NoOptions&) {
  const Tensor &x = in[0], &weight = in[1], &experts = in[2];
  if (x.dtype() != DType::f32 || x.dim() != 3)
    fail("routed_linear: x is ", x, "; it needs f32 [tokens, 1 or routes, k]");
  const DTypeKind kind = info(weight.dtype()).kind;
  if ((kind != DTypeKind::real && kind != DTypeKind::block) || weight.dim() != 3 ||
      weight.size(2) != x.size(2))
    fail("routed_linear: weight ", weight, " does not fit x ", x, "; it needs [experts, n, ",
         x.size(2), "]");
  if (experts.dtype() != DType::i32 && experts.dtype() != DType::i64)
    fail("routed_linear: experts are ", experts, "; they need i32 or i64");
  if (experts.dim() != 2 || experts.size(0) != x.size(0) ||
      (x.size(1) != 1 && x.size(1) != experts.size(1)))
    fail("routed_linear: experts ", experts, " do not fit x ", x, "; they need [", x.size(0),
         ", routes]");
  return {{{experts.size(0), experts.size(1), weight.size(1)}, DType::f32}};
}

int64_t id_at(const Tensor& ids, int64_t i) {
  return ids.dtype() == DType::i32 ? ids.data<int32_t>()[i] : ids.data<int64_t>()[i];
}

/// The rows of y in the order of their experts: rows[starts[e]] to rows[starts[e + 1]] are e's.
struct Routes {
  std::vector<int64_t> starts, rows;

  Routes(const Tensor& experts, int64_t count) : starts(static_cast<size_t>(count) + 1) {
    const Tensor ids = experts.contiguous();
    for (int64_t i = 0; i < ids.numel(); ++i) {
      const int64_t id = id_at(ids, i);
      if (id < 0 || id >= count)
        fail("routed_linear: expert ", id, " of row ", i, " is outside the ", count, " experts");
      ++starts[static_cast<size_t>(id) + 1];
    }
    for (size_t e = 1; e < starts.size(); ++e) starts[e] += starts[e - 1];
    std::vector<int64_t> next(starts.begin(), starts.end() - 1);
    rows.resize(static_cast<size_t>(ids.numel()));
    for (int64_t i = 0; i < ids.numel(); ++i) {
      rows[static_cast<size_t>(next[static_cast<size_t>(id_at(ids, i))]++)] = i;
    }
  }
};

/// The disk brings the wanted experts' pages side by side.
void ask_for(const Tensor& weight, const Routes& order) {
  if (!weight.is_contiguous() || weight.size(0) == 0) return;
  const int64_t bytes = weight.nbytes() / weight.size(0);
  for (int64_t e = 0; e < weight.size(0); ++e) {
    if (order.starts[static_cast<size_t>(e)] == order.starts[static_cast<size_t>(e) + 1]) continue;
    weight.buffer()->will_need(weight.offset() + e * bytes, bytes);
  }
}

/// The product with one expert's weight runs on linear's kernel, whatever the dtype.
void cpu(Inputs in, Outputs out, const NoOptions&) {
  const Tensor x = in[0].contiguous(), &weight = in[1], &y = out[0];
  const int64_t k = x.size(2), n = weight.size(1), routes = in[2].size(1);
  const int64_t repeat = x.size(1) == 1 ? std::max<int64_t>(routes, 1) : 1;
  const Routes order(in[2], weight.size(0));
  const float* from = x.data<float>();
  float* to = y.data<float>();
  ask_for(weight, order);
  for (int64_t e = 0; e < weight.size(0); ++e) {
    const int64_t first = order.starts[static_cast<size_t>(e)];
    const int64_t count = order.starts[static_cast<size_t>(e) + 1] - first;
    if (count == 0) continue;
    const int64_t* rows = order.rows.data() + first;
    Tensor picked = Tensor::empty({count, k});
    for (int64_t i = 0; i < count; ++i) {
      std::copy_n(from + rows[i] / repeat * k, k, picked.data<float>() + i * k);
    }
    const Tensor part = linear(picked, weight.select(0, e)).contiguous();
    for (int64_t i = 0; i < count; ++i)
      std::copy_n(part.data<float>() + i * n, n, to + rows[i] * n);
  }
}

/// Every expert on every row, of which each row picks its own.
Tensors composite(Inputs in, const NoOptions&) {
  const Tensor &x = in[0], &weight = in[1], &experts = in[2];
  const int64_t n = weight.size(1), routes = experts.size(1);
  const Tensor flat = weight.to(DType::f32).reshape({weight.size(0) * n, x.size(2)});
  const Tensor all = linear(x, flat).reshape({x.size(0), x.size(1), weight.size(0), n});
  const Tensor wide = all.expand({x.size(0), routes, weight.size(0), n});
  const Tensor index = experts.to(DType::i64).reshape({x.size(0), routes, 1, 1});
  return {gather(wide, 2, index.expand({x.size(0), routes, 1, n})).squeeze(2)};
}

Work work(Inputs in, Outputs out, const NoOptions&) {
  return {.flops = 2.0 * static_cast<double>(out[0].numel()) * static_cast<double>(in[0].size(2))};
}

}  // namespace

constinit Op<> routed_linear_op{"routed_linear",
                                {.infer = infer, .cpu = cpu, .composite = composite, .work = work}};

Tensor routed_linear(const Tensor& x, const Tensor& weight, const Tensor& experts) {
  return apply(routed_linear_op, {x, weight, experts});
}

}  // namespace tallow
