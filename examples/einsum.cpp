// Sums of products by their indices.
#include <iostream>

#include <tallow/from_data.h>
#include <tallow/ops.h>
#include <tallow/print.h>

using namespace tallow;

int main() {
  const Tensor a = tensor({{1.0, 2.0}, {3.0, 4.0}}), b = tensor({{5.0, 6.0}, {7.0, 8.0}});
  std::cout << "product\n" << einsum("ij,jk->ik", {a, b}) << "\n";
  std::cout << "trace " << einsum("ii", {a}).item() << "\n";
  std::cout << "row by row\n" << einsum("ij,ij->i", {a, b}) << "\n";
  // Attention scores of [batch, tokens, heads, dim].
  const Tensor q = ones({1, 2, 4, 8}), k = ones({1, 3, 4, 8});
  std::cout << "scores " << to_string(einsum("bqhd,bkhd->bhqk", {q, k}).shape()) << "\n";
}
