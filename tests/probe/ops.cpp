// The ops that are not fused, for tests/python/test_ops.py: `tallow_probe ops MANIFEST` (see
// cases.h).
#include "tallow/ops.h"
#include "cases.h"

namespace probe {
namespace {

using tallow::Shape;
using tallow::Tensor;
using tallow::Tensors;
using Integers = std::vector<int64_t>;
using Single = std::function<Tensor(const Tensors&, const Integers&)>;

Shape shape_of(const Integers& p) { return Shape(std::span<const int64_t>(p)); }

// Reductions take keepdim, then the dimensions.
template <class F>
Single reduction(const F& f) {
  return [f](const Tensors& in, const Integers& p) {
    return f(in[0], std::span(p).subspan(1), p[0] != 0);
  };
}

struct Unary {
  const char* name;
  Tensor (*f)(const Tensor&);
};
constexpr Unary kUnary[] = {
    {"neg", tallow::neg},
    {"abs", tallow::abs},
    {"exp", tallow::exp},
    {"log", tallow::log},
    {"sqrt", tallow::sqrt},
    {"rsqrt", tallow::rsqrt},
    {"square", tallow::square},
    {"reciprocal", tallow::reciprocal},
    {"sin", tallow::sin},
    {"cos", tallow::cos},
    {"tanh", tallow::tanh},
    {"sigmoid", tallow::sigmoid},
    {"relu", [](const Tensor& x) { return tallow::relu(x); }},
    {"silu", [](const Tensor& x) { return tallow::silu(x); }},
    {"gelu", [](const Tensor& x) { return tallow::gelu(x); }},
    {"softsign", tallow::softsign},
};

struct Binary {
  const char* name;
  Tensor (*f)(const Tensor&, const Tensor&);
};
constexpr Binary kBinary[] = {
    {"add", [](const Tensor& a, const Tensor& b) { return tallow::add(a, b); }},
    {"sub", [](const Tensor& a, const Tensor& b) { return tallow::sub(a, b); }},
    {"mul", tallow::mul},
    {"div", [](const Tensor& a, const Tensor& b) { return tallow::div(a, b); }},
    {"pow", tallow::pow},
    {"maximum", tallow::maximum},
    {"minimum", tallow::minimum},
    {"matmul", tallow::matmul},
};

std::map<std::string, Single> make_table() {
  std::map<std::string, Single> table;
  for (const Unary& op : kUnary) {
    table[op.name] = [op](const Tensors& in, const Integers&) { return op.f(in[0]); };
  }
  for (const Binary& op : kBinary) {
    table[op.name] = [op](const Tensors& in, const Integers&) { return op.f(in[0], in[1]); };
  }
  table["sum"] = reduction([](auto&&... args) { return tallow::sum(args...); });
  table["mean"] = reduction([](auto&&... args) { return tallow::mean(args...); });
  table["amax"] = reduction([](auto&&... args) { return tallow::amax(args...); });
  table["cat"] = [](const Tensors& in, const Integers& p) { return tallow::cat(in, p[0]); };
  table["flip"] = [](const Tensors& in, const Integers& p) { return tallow::flip(in[0], p); };
  table["index_select"] = [](const Tensors& in, const Integers& p) {
    return tallow::index_select(in[0], p[0], in[1]);
  };
  table["reshape"] = [](const Tensors& in, const Integers& p) {
    return in[0].transpose(0, 1).reshape(shape_of(p));
  };
  table["permute"] = [](const Tensors& in, const Integers& p) { return in[0].permute(p); };
  table["expand"] = [](const Tensors& in, const Integers& p) { return in[0].expand(shape_of(p)); };
  table["slice"] = [](const Tensors& in, const Integers& p) {
    return in[0].slice(p[0], p[1], p[2], p[3]);
  };
  // y = x * x + x * c: the input fans out into a view and a broadcast.
  table["fan_out"] = [](const Tensors& in, const Integers&) {
    return in[0] * in[0].transpose(0, 1) + in[0] * tallow::sum(in[0], Integers{0}, true);
  };
  return table;
}

}  // namespace

int ops(int argc, char** argv) {
  Functions functions;
  for (const auto& [name, op] : make_table()) {
    functions[name] = [op = op](const Tensors& in, const Numbers& p) {
      return Tensors{op(in, Integers(p.begin(), p.end()))};
    };
  }
  return run_cases(argc, argv, functions);
}

}  // namespace probe
