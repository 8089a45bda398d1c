// What a Tensor points to, and the node that records how it was made.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tallow/autograd.h"
#include "tallow/op.h"
#include "tallow/tensor.h"

namespace tallow {

/// What few tensors have.
struct TensorExtra {
  Tensor grad;  // of a leaf, after backward()
  std::vector<std::pair<int64_t, Hook>> hooks;
  std::vector<std::pair<int64_t, std::function<void(const Tensor&)>>> after_accumulation;
};

struct TensorImpl {
  std::shared_ptr<Buffer> buffer;
  int64_t offset = 0;  // bytes
  Shape shape, strides;
  DType dtype = DType::f32;
  bool requires_grad = false;
  bool is_number = false;      // made of a plain number: promotes by its kind only
  bool is_inference = false;   // made in inference mode
  int output_index = 0;        // which of the node's outputs this is
  std::shared_ptr<Node> node;  // null for a leaf
  // A view knows the tensor whose memory it shows. When that tensor's history changes in place (its
  // generation counts them), the view's history is made anew when it is next asked for.
  std::shared_ptr<TensorImpl> base;
  uint32_t generation = 0;
  std::unique_ptr<TensorExtra> extra;

  TensorExtra& more() {
    if (!extra) extra = std::make_unique<TensorExtra>();
    return *extra;
  }
};

/// Where a gradient goes: an output of a node, or a leaf.
struct Edge {
  std::shared_ptr<Node> node;
  int index = 0;
  std::shared_ptr<TensorImpl> leaf;

  bool wanted() const { return node || leaf; }
};

/// A checkpointed piece of the graph, which computes its values again when one is asked for.
struct CheckpointFrame;

/// One recorded call.
struct Node {
  const OpBase* op = nullptr;
  std::vector<std::byte> options;
  std::vector<Edge> edges;         // one per input
  Tensors inputs;                  // as they were; those that the vjp does not read have no memory
  Tensors outputs;                 // without history; only where the op saves them
  std::vector<uint32_t> versions;  // of the inputs and outputs that hold memory, when recorded
  Specs specs;                     // of the outputs, for the zeros of those without a gradient
  uint64_t sequence = 0;
  bool released = false;  // a pass has run and freed what was kept
  std::vector<std::pair<int64_t, std::pair<int, Hook>>> hooks;  // number, output, hook
  std::shared_ptr<CheckpointFrame> frame;                       // of the values that were not kept
  size_t slot = 0;                                              // this node's values in the frame

  // A node of custom_gradient has these in place of an op.
  std::string custom_name;
  std::function<Tensors(const Tensors&)> custom_backward;

  const char* name() const { return op ? op->name : custom_name.c_str(); }
  ~Node();
};

/// The node and output that made the tensor, or the leaf: after changes in place, as it is now.
Edge edge_of(const Tensor& tensor);
/// Makes the history of a view anew where its base was changed in place.
void refresh_view(TensorImpl& view);
/// Set by ops: records that `view` shows elements of its base's new history.
extern void (*rebase_view)(TensorImpl& view);

/// A tensor with the shape, dtype and wish for a gradient of `t`, and no memory.
Tensor without_memory(const Tensor& t);
/// A number that orders nodes by the time of their recording.
uint64_t next_node_sequence();
/// A new number for a hook.
int64_t next_hook_id();

/// The checkpoint that is being recorded or computed again on this thread, or null.
struct CheckpointFrame {
  std::function<Tensors(const Tensors&)> function;
  Tensors inputs;
  bool collecting = false;                         // the second time
  size_t recorded = 0;                             // nodes so far
  std::vector<std::pair<Tensors, Tensors>> slots;  // inputs and outputs of each node
};
std::shared_ptr<CheckpointFrame>& current_checkpoint();

}  // namespace tallow
