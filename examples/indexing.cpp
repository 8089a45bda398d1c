// Broadcasting, slices, masks and indices.
#include <iostream>

#include <tallow/from_data.h>
#include <tallow/indexing.h>
#include <tallow/ops.h>
#include <tallow/print.h>

using namespace tallow;

int main() {
  // A column and a row make a table.
  Tensor table = arange(3).unsqueeze(1) * 10 + arange(4);
  std::cout << table << "\n";
  std::cout << table[{1}] << "\n";
  std::cout << table[{Ellipsis, Slice(0, 4, 2)}] << "\n";
  std::cout << table[{tensor({0, 2}), tensor({3, 1})}] << "\n";
  std::cout << table[{gt(table, 20)}] << "\n";
  put(table, {Slice(), 0}, -1);
  std::cout << table << "\n";
}
