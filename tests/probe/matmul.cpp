// Runs linear layers on files, with gradients: `tallow_probe linear MANIFEST`, a case per line:
//   KIND DTYPE X WEIGHTS BIASES OUTPUT [GRADIENT]
// KIND is linear, concat or gated. WEIGHTS and BIASES are lists separated by commas ('-' for none)
// of .npy files or FILE.safetensors:NAME; weights are converted to DTYPE ('-' leaves them mapped).
// Writes OUTPUT.npy, for a converted weight OUTPUT.w0.npy, ..., and with a gradient
// OUTPUT.grad0.npy, ... of x, the weights and the biases.
#include <fstream>
#include <sstream>
#include <string>

#include "tallow/autograd.h"
#include "tallow/error.h"
#include "tallow/npy.h"
#include "tallow/ops.h"
#include "tallow/safetensors.h"

namespace probe {
namespace {

using tallow::DType;
using tallow::Tensor;
using tallow::Tensors;

Tensor load(const std::string& file) {
  const size_t colon = file.find(".safetensors:");
  if (colon == std::string::npos) return tallow::load_npy(file);
  const size_t end = colon + std::string(".safetensors").size();
  return tallow::SafetensorsFile::open(file.substr(0, end))->get(file.substr(end + 1));
}

Tensors load_list(const std::string& list) {
  Tensors tensors;
  std::stringstream stream(list == "-" ? "" : list);
  for (std::string part; std::getline(stream, part, ',');) tensors.push_back(load(part));
  return tensors;
}

Tensor forward(const std::string& kind, const Tensor& x, const Tensors& w, const Tensors& b) {
  auto bias = [&](size_t i) { return b.empty() ? Tensor() : b[i]; };
  if (kind == "gated") return tallow::gated_linear(x, w[0], w[1], bias(0), bias(1));
  if (kind == "concat") return tallow::linear_concat(x, w, b);
  return tallow::linear(x, w[0], bias(0));
}

void run_case(const std::string& line) {
  std::stringstream words(line);
  std::string kind, dtype, x_file, weights, biases, output, gradient;
  words >> kind >> dtype >> x_file >> weights >> biases >> output >> gradient;
  Tensor x = load(x_file);
  Tensors w = load_list(weights), b = load_list(biases);
  for (size_t i = 0; i < w.size() && dtype != "-"; ++i) {
    w[i] = w[i].to(*tallow::dtype_from_name(dtype));
    const DType exact = dtype == "f64" ? DType::f64 : DType::f32;
    save_npy(output + ".w" + std::to_string(i) + ".npy", w[i].to(exact));
  }
  Tensors leaves{x};
  leaves.insert(leaves.end(), w.begin(), w.end());
  leaves.insert(leaves.end(), b.begin(), b.end());
  for (Tensor& t : leaves) {
    if (!gradient.empty() && tallow::is_real(t.dtype())) t.requires_grad_();
  }
  Tensor y = forward(kind, x, w, b);
  save_npy(output + ".npy", y.detach());
  if (gradient.empty()) return;
  y.backward(load(gradient));
  for (size_t i = 0; i < leaves.size(); ++i) {
    const Tensor g = leaves[i].grad();
    if (g) save_npy(output + ".grad" + std::to_string(i) + ".npy", g.to(DType::f32).contiguous());
  }
}

}  // namespace

int linear(int argc, char** argv) {
  if (argc != 2) tallow::fail("usage: tallow_probe linear MANIFEST");
  std::ifstream manifest(argv[1]);
  for (std::string line; std::getline(manifest, line);) {
    try {
      run_case(line);
    } catch (const std::exception& error) {
      tallow::fail(line, ": ", error.what());
    }
  }
  return 0;
}

}  // namespace probe
