// Gradients, and gradients of gradients.
#include <iostream>

#include <tallow/autograd.h>
#include <tallow/from_data.h>
#include <tallow/ops.h>
#include <tallow/print.h>

using namespace tallow;

int main() {
  const Tensor x = tensor({1.0, 2.0, 3.0}).requires_grad_();
  const Tensor y = sum(x * x * x);
  // The pass is recorded, so that its result can be differentiated again: 3 x^2, then 6 x.
  const Tensor first = grad({y}, {x}, {}, {.create_graph = true})[0];
  const Tensor second = grad({sum(first)}, {x})[0];
  std::cout << first.detach() << "\n" << second << "\n";

  // backward() adds to the gradient of each leaf.
  sum(exp(x)).backward();
  std::cout << x.grad() << "\n";
}
