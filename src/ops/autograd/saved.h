// What a node kept for the backward pass.
#pragma once

#include "core/tensor_impl.h"

namespace tallow {

struct SavedTensors {
  Tensors inputs, outputs;
};

/// What the node kept, or computed again at a checkpoint. With `create_graph` outputs have their
/// history. Throws Error where a value was changed in place since.
SavedTensors saved_tensors(const std::shared_ptr<Node>& node, bool create_graph);

/// Frees what the node kept.
void release(Node& node);

}  // namespace tallow
