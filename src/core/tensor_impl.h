// What a Tensor points to, and the node that records how it was made.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "tallow/op.h"
#include "tallow/tensor.h"

namespace tallow {

struct TensorImpl {
  std::shared_ptr<Buffer> buffer;
  int64_t offset = 0;  // bytes
  Shape shape, strides;
  DType dtype = DType::f32;
  bool requires_grad = false;
  bool is_number = false;      // made of a plain number: promotes by its kind only
  int output_index = 0;        // which of the node's outputs this is
  std::shared_ptr<Node> node;  // null for a leaf
  Tensor grad;                 // of a leaf, after backward()
};

/// One recorded call. Inputs keep their own nodes alive, so the graph is freed from its outputs.
struct Node {
  const OpBase* op = nullptr;
  std::vector<std::byte> options;
  Tensors inputs;
  Tensors outputs;  // detached; only where the op saves them
  Specs specs;      // of the outputs, for the zeros of those without a gradient
  uint64_t sequence = 0;
  ~Node();
};

}  // namespace tallow
