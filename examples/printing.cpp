// How tensors print: as PyTorch's do.
#include <iostream>

#include <tallow/from_data.h>
#include <tallow/ops.h>
#include <tallow/print.h>

using namespace tallow;

int main() {
  std::cout << tensor({{1.0, 2.5}, {-3.0, 1e-3}}) << "\n";
  std::cout << tensor({true, false}) << " " << arange(5, DType::i32) << "\n";
  std::cout << zeros({1000, 1000}) << "\n";
  set_print_options({.precision = 2});
  std::cout << tensor(3.14159) << "\n";
}
