// An image through a convolution, a pooling and a resize.
#include <iostream>

#include <tallow/from_data.h>
#include <tallow/ops.h>
#include <tallow/print.h>

using namespace tallow;

int main() {
  // A white square on black, [batch, channels, height, width].
  const Tensor image = pad(ones({1, 1, 4, 4}), {2, 2, 2, 2});
  // Sobel's filter finds edges from left to right.
  const Tensor sobel =
      tensor({{-1.0, 0.0, 1.0}, {-2.0, 0.0, 2.0}, {-1.0, 0.0, 1.0}}).reshape({1, 1, 3, 3});
  const Tensor edges = conv2d(image, sobel, {}, 1, 1);
  std::cout << edges.select(0, 0).select(0, 0) << "\n";
  std::cout << squeeze(max_pool2d(abs(edges), 2)) << "\n";
  std::cout << to_string(interpolate(image, {16, 16}, {}, "bilinear").shape()) << "\n";
}
