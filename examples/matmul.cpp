// The matrix product of two random matrices.
#include <iostream>

#include <tallow/ops.h>
#include <tallow/print.h>

using namespace tallow;

int main() {
  manual_seed(0);
  const Tensor a = randn({2, 3}), b = randn({3, 4});
  const Tensor c = matmul(a, b);
  std::cout << c << "\n";
  std::cout << "shape " << to_string(c.shape()) << ", " << to_string(c.dtype()) << "\n";
}
