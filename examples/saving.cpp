// Tensors to a file and back, as NumPy reads and writes them.
#include <filesystem>
#include <iostream>

#include <tallow/npy.h>
#include <tallow/ops.h>
#include <tallow/print.h>

using namespace tallow;

int main() {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / "tallow_example_saving.npy";
  const Tensor x = arange(6, DType::f32).reshape({2, 3});
  save_npy(path.string(), x);
  const Tensor y = load_npy(path.string());
  std::cout << y << "\n" << (equal(x, y) ? "the same" : "different") << "\n";
  std::filesystem::remove(path);
}
