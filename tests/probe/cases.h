// Cases of ops for Python to compare, one a line of a manifest:
//   OP PARAMETERS INPUTS OUTPUT [GRADIENT]
// PARAMETERS are numbers and INPUTS are .npy files, each list separated by commas ('-' for none).
// Writes OUTPUT.0.npy, OUTPUT.1.npy, ...; where a GRADIENT file is named, it is that of the sum of
// the outputs, and the inputs' gradients go to OUTPUT.grad0.npy, ...
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tallow/tensor.h"

namespace probe {

using Numbers = std::vector<double>;
using Function = std::function<tallow::Tensors(const tallow::Tensors&, const Numbers&)>;
using Functions = std::map<std::string, Function>;

/// Runs the cases of the manifest argv[1] and returns 0. Throws Error that begins with the line.
int run_cases(int argc, char** argv, const Functions& table);

}  // namespace probe
