// Runs ops on .npy inputs, with gradients: `tallow_probe ops MANIFEST`, a case per line:
//   OP PARAMETERS INPUTS OUTPUT [GRADIENT]
// PARAMETERS are numbers and INPUTS are files, each list separated by commas ('-' for none). Writes
// OUTPUT.npy, and where a GRADIENT file is named, the inputs' gradients OUTPUT.grad0.npy, ...
#include <cstdio>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>
#include <string>

#include "tallow/autograd.h"
#include "tallow/error.h"
#include "tallow/npy.h"
#include "tallow/ops.h"

namespace probe {
namespace {

using tallow::Shape;
using tallow::Tensor;
using tallow::Tensors;
using Numbers = std::vector<int64_t>;
using Function = std::function<Tensor(const Tensors&, const Numbers&)>;

Shape shape_of(const Numbers& p) { return Shape(std::span<const int64_t>(p)); }

// Reductions take keepdim, then the dimensions.
Function reduction(Tensor (*f)(const Tensor&, std::span<const int64_t>, bool)) {
  return [f](const Tensors& in, const Numbers& p) {
    return f(in[0], std::span(p).subspan(1), p[0] != 0);
  };
}

struct Unary {
  const char* name;
  Tensor (*f)(const Tensor&);
};
constexpr Unary kUnary[] = {
    {"neg", tallow::neg},       {"abs", tallow::abs},
    {"exp", tallow::exp},       {"log", tallow::log},
    {"sqrt", tallow::sqrt},     {"rsqrt", tallow::rsqrt},
    {"square", tallow::square}, {"reciprocal", tallow::reciprocal},
    {"sin", tallow::sin},       {"cos", tallow::cos},
    {"tanh", tallow::tanh},     {"sigmoid", tallow::sigmoid},
    {"relu", tallow::relu},     {"silu", tallow::silu},
    {"gelu", tallow::gelu},     {"softsign", tallow::softsign},
};

struct Binary {
  const char* name;
  Tensor (*f)(const Tensor&, const Tensor&);
};
constexpr Binary kBinary[] = {
    {"add", tallow::add},         {"sub", tallow::sub},       {"mul", tallow::mul},
    {"div", tallow::div},         {"pow", tallow::pow},       {"maximum", tallow::maximum},
    {"minimum", tallow::minimum}, {"matmul", tallow::matmul},
};

std::map<std::string, Function> make_table() {
  std::map<std::string, Function> table;
  for (const Unary& op : kUnary) {
    table[op.name] = [op](const Tensors& in, const Numbers&) { return op.f(in[0]); };
  }
  for (const Binary& op : kBinary) {
    table[op.name] = [op](const Tensors& in, const Numbers&) { return op.f(in[0], in[1]); };
  }
  table["sum"] = reduction(tallow::sum);
  table["mean"] = reduction(tallow::mean);
  table["amax"] = reduction(tallow::amax);
  table["cat"] = [](const Tensors& in, const Numbers& p) { return tallow::cat(in, p[0]); };
  table["flip"] = [](const Tensors& in, const Numbers& p) { return tallow::flip(in[0], p); };
  table["index_select"] = [](const Tensors& in, const Numbers& p) {
    return tallow::index_select(in[0], p[0], in[1]);
  };
  table["reshape"] = [](const Tensors& in, const Numbers& p) {
    return in[0].transpose(0, 1).reshape(shape_of(p));
  };
  table["permute"] = [](const Tensors& in, const Numbers& p) { return in[0].permute(p); };
  table["expand"] = [](const Tensors& in, const Numbers& p) { return in[0].expand(shape_of(p)); };
  table["slice"] = [](const Tensors& in, const Numbers& p) {
    return in[0].slice(p[0], p[1], p[2], p[3]);
  };
  // y = x * x + x * c: the input fans out into a view and a broadcast.
  table["fan_out"] = [](const Tensors& in, const Numbers&) {
    return in[0] * in[0].transpose(0, 1) + in[0] * tallow::sum(in[0], Numbers{0}, true);
  };
  return table;
}

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  std::stringstream stream(list == "-" ? "" : list);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

void run_case(const std::string& line, const std::map<std::string, Function>& table) {
  std::stringstream words(line);
  std::string op, parameters, files, output, gradient;
  words >> op >> parameters >> files >> output >> gradient;
  Numbers numbers;
  for (const std::string& p : split(parameters)) numbers.push_back(std::stoll(p));
  Tensors inputs;
  for (const std::string& file : split(files)) {
    inputs.push_back(tallow::load_npy(file));
    if (!gradient.empty() && tallow::is_real(inputs.back().dtype())) {
      inputs.back() = inputs.back().contiguous().requires_grad_();
    }
  }
  Tensor y = table.at(op)(inputs, numbers);
  save_npy(output + ".npy", y.detach().contiguous());
  if (gradient.empty()) return;
  y.backward(tallow::load_npy(gradient));
  for (size_t i = 0; i < inputs.size(); ++i) {
    Tensor g = inputs[i].grad();
    if (g.defined()) save_npy(output + ".grad" + std::to_string(i) + ".npy", g.contiguous());
  }
}

}  // namespace

int ops(int argc, char** argv) {
  if (argc != 2) tallow::fail("usage: tallow_probe ops MANIFEST");
  auto table = make_table();
  std::ifstream manifest(argv[1]);
  for (std::string line; std::getline(manifest, line);) {
    try {
      run_case(line, table);
    } catch (const std::exception& error) {
      tallow::fail(line, ": ", error.what());
    }
  }
  return 0;
}

}  // namespace probe
