// Runs a manifest of ops.
#include "cases.h"

#include <fstream>
#include <sstream>

#include "tallow/autograd.h"
#include "tallow/error.h"
#include "tallow/npy.h"
#include "tallow/ops.h"

namespace probe {
namespace {

using tallow::Tensor;
using tallow::Tensors;

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  std::stringstream stream(list == "-" ? "" : list);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

void run_case(const std::string& line, const Functions& table) {
  std::stringstream words(line);
  std::string op, parameters, files, output, gradient;
  words >> op >> parameters >> files >> output >> gradient;
  Numbers numbers;
  for (const std::string& p : split(parameters)) numbers.push_back(std::stod(p));
  Tensors inputs;
  for (const std::string& file : split(files)) {
    inputs.push_back(tallow::load_npy(file));
    if (!gradient.empty() && tallow::is_real(inputs.back().dtype())) {
      inputs.back() = inputs.back().contiguous().requires_grad_();
    }
  }
  const Tensors y = table.at(op)(inputs, numbers);
  for (size_t i = 0; i < y.size(); ++i) {
    save_npy(output + "." + std::to_string(i) + ".npy", y[i].detach().contiguous());
  }
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

int run_cases(int argc, char** argv, const Functions& table) {
  if (argc != 2) tallow::fail("usage: tallow_probe ", argv[0], " MANIFEST");
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
