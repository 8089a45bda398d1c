// A line through noisy points, by gradient descent.
#include <cstdio>

#include <tallow/autograd.h>
#include <tallow/ops.h>

using namespace tallow;

int main() {
  manual_seed(1);
  const Tensor x = rand({100, 1});
  const Tensor y = x * 3.0 + 0.5 + randn({100, 1}) * 0.01;

  Tensor weight = zeros({1, 1}).requires_grad_(), bias = zeros({1}).requires_grad_();
  for (int step = 0; step < 500; ++step) {
    const Tensor loss = mse_loss(linear(x, weight, bias), y);
    const Tensors gradients = grad({loss}, {weight, bias});
    NoGrad no_grad;
    weight = (weight - gradients[0] * 0.5).detach().requires_grad_();
    bias = (bias - gradients[1] * 0.5).detach().requires_grad_();
  }
  std::printf("y = %.1f x + %.1f\n", weight.item(), bias.item());
}
