// Runs the fused ops on .npy inputs, with gradients: `tallow_probe fused MANIFEST`, a case a line:
//   OP PARAMETERS INPUTS OUTPUT [GRADIENT]
// PARAMETERS are numbers and INPUTS are files, each list separated by commas ('-' for none). Writes
// OUTPUT.0.npy, OUTPUT.1.npy, ...; where a GRADIENT file is named, it is that of the sum of
// the outputs, and the inputs' gradients go to OUTPUT.grad0.npy, ...
#include <fstream>
#include <functional>
#include <map>
#include <sstream>
#include <string>

#include "ops/registry.h"
#include "tallow/autograd.h"
#include "tallow/error.h"
#include "tallow/npy.h"
#include "tallow/parallel.h"

namespace probe {
namespace {

using tallow::DType;
using tallow::Tensor;
using tallow::Tensors;
using Numbers = std::vector<double>;
using Function = std::function<Tensors(const Tensors&, const Numbers&)>;

int64_t whole(double x) { return static_cast<int64_t>(x); }

// Keys and values [cached, kv_heads, dim] go into their slots of a cache of `pages` pages, which
// the queries then attend to. Inputs: queries, keys, values, slots, starts, lengths, page table;
// parameters: pages, page size, bf16, scale, soft cap, window.
Tensors attend(const Tensors& in, const Numbers& p) {
  const int64_t heads = in[1].size(1), dim = in[1].size(2);
  const DType dtype = p[2] != 0 ? DType::bf16 : DType::f32;
  Tensor k = Tensor::full({whole(p[0]), heads, whole(p[1]), dim}, 1e30).to(dtype);
  Tensor v = Tensor::full({whole(p[0]), heads, dim, whole(p[1])}, 1e30).to(dtype);
  kv_cache_write(k, v, in[1], in[2], in[3]);
  return {paged_attention(in[0], k, v, in[4], in[5], in[6],
                          {static_cast<float>(p[3]), static_cast<float>(p[4]), whole(p[5])})};
}

std::map<std::string, Function> make_table() {
  std::map<std::string, Function> table;
  table["rms_norm"] = [](const Tensors& in, const Numbers& p) -> Tensors {
    return {rms_norm(in[0], in[1], p[0])};
  };
  table["add_rms_norm"] = [](const Tensors& in, const Numbers& p) {
    return add_rms_norm(in[0], in[1], in[2], p[0]);
  };
  table["swiglu"] = [](const Tensors& in, const Numbers&) -> Tensors {
    return {swiglu(in[0], in[1])};
  };
  table["softmax"] = [](const Tensors& in, const Numbers& p) -> Tensors {
    return {softmax(in[0], whole(p[0]))};
  };
  table["embedding"] = [](const Tensors& in, const Numbers&) -> Tensors {
    return {embedding(in[0], in[1])};
  };
  table["rope"] = [](const Tensors& in, const Numbers& p) -> Tensors {
    return {rope(in[0], in[1], in[2], {.interleaved = p[0] != 0}, p[1])};
  };
  table["paged_attention"] = attend;
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
  for (const std::string& p : split(parameters)) numbers.push_back(std::stod(p));
  Tensors inputs;
  for (const std::string& file : split(files)) {
    inputs.push_back(tallow::load_npy(file));
    if (!gradient.empty() && is_real(inputs.back().dtype()))
      inputs.back() = inputs.back().contiguous().requires_grad_();
  }
  Tensors y = table.at(op)(inputs, numbers);
  for (size_t i = 0; i < y.size(); ++i)
    save_npy(output + "." + std::to_string(i) + ".npy", y[i].detach().contiguous());
  if (gradient.empty()) return;
  Tensor total = y[0];
  for (size_t i = 1; i < y.size(); ++i) total = total + y[i];
  total.backward(tallow::load_npy(gradient));
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor g = inputs[i].grad();
    if (g.defined()) save_npy(output + ".grad" + std::to_string(i) + ".npy", g.contiguous());
  }
}

}  // namespace

int fused(int argc, char** argv) {
  if (argc != 2) tallow::fail("usage: tallow_probe fused MANIFEST");
  const auto table = make_table();
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
