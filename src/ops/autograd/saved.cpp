// Unpacking what nodes kept, and checkpoints, which keep nothing and compute it again.
#include "ops/autograd/saved.h"

#include "tallow/autograd.h"
#include "tallow/error.h"

namespace tallow {
namespace {

// Sets the thread's checkpoint while it lives.
class FrameScope {
 public:
  explicit FrameScope(std::shared_ptr<CheckpointFrame> frame)
      : before_(std::exchange(current_checkpoint(), std::move(frame))) {}
  ~FrameScope() { current_checkpoint() = before_; }
  FrameScope(const FrameScope&) = delete;
  FrameScope& operator=(const FrameScope&) = delete;

 private:
  std::shared_ptr<CheckpointFrame> before_;
};

// Runs the function of a checkpoint again, recording what each node would have kept.
void compute_again(const std::shared_ptr<CheckpointFrame>& frame) {
  if (!frame->slots.empty()) return;
  Tensors inputs;
  for (const Tensor& t : frame->inputs) {
    inputs.push_back(t.defined() ? t.detach() : t);
    if (t.requires_grad()) inputs.back().requires_grad_();
  }
  GradMode recording(true);
  frame->collecting = true;
  FrameScope scope(frame);
  frame->function(inputs);
  if (frame->slots.size() != frame->recorded) {
    fail("checkpoint: the function recorded ", frame->recorded, " ops, and ", frame->slots.size(),
         " when it ran again; it must do the same each time");
  }
}

// `values` seen with the place in the graph that `edge` tells.
Tensor with_history(const Tensor& values, const Edge& edge) {
  if (edge.leaf) return Tensor(edge.leaf);
  Tensor t = values.detach();
  t.impl()->node = edge.node;
  t.impl()->output_index = edge.index;
  t.impl()->requires_grad = edge.node != nullptr;
  return t;
}

SavedTensors from_frame(const Node& node) {
  compute_again(node.frame);
  auto& [inputs, outputs] = node.frame->slots[node.slot];
  SavedTensors saved;
  for (size_t i = 0; i < inputs.size(); ++i) {
    saved.inputs.push_back(inputs[i].defined() ? with_history(inputs[i], node.edges[i]) : Tensor());
  }
  saved.outputs = outputs;
  return saved;
}

void check_version(const Node& node, const Tensor& t, uint32_t version, const char* what,
                   size_t i) {
  if (!t.defined() || !t.buffer()->data() || t.buffer()->version() == version) return;
  fail("backward: ", what, " ", i, " of ", node.name(), " (", t,
       ") was changed in place after it was kept (version ", t.buffer()->version(), ", not ",
       version, "); clone it before");
}

}  // namespace

SavedTensors saved_tensors(const std::shared_ptr<Node>& node, bool create_graph) {
  SavedTensors saved;
  if (node->frame) {
    saved = from_frame(*node);
  } else {
    size_t n = node->inputs.size();
    for (size_t i = 0; i < n; ++i) {
      if (node->versions[i] || (node->inputs[i].defined() && node->inputs[i].buffer()->data())) {
        check_version(*node, node->inputs[i], node->versions[i], "input", i);
      }
    }
    for (size_t i = 0; i < node->outputs.size(); ++i) {
      check_version(*node, node->outputs[i], node->versions[n + i], "output", i);
    }
    saved = {node->inputs, node->outputs};
  }
  if (create_graph) {
    for (size_t i = 0; i < saved.outputs.size(); ++i) {
      if (!is_differentiable(saved.outputs[i].dtype())) continue;
      saved.outputs[i] = with_history(saved.outputs[i], {node, static_cast<int>(i), nullptr});
    }
  }
  return saved;
}

void release(Node& node) {
  bool kept = !node.outputs.empty() && !node.custom_backward;
  for (Tensor& t : node.inputs) {
    if (!t.defined() || !t.buffer()->data()) continue;
    t = without_memory(t);
    kept = true;
  }
  if (!node.custom_backward) node.outputs.clear();
  kept |= node.frame != nullptr || node.custom_backward != nullptr;
  node.frame = nullptr;
  node.released = kept;
}

Tensors checkpoint(const std::function<Tensors(const Tensors&)>& f, const Tensors& inputs) {
  if (!grad_enabled()) return f(inputs);
  auto frame = std::make_shared<CheckpointFrame>();
  frame->function = f;
  frame->inputs = inputs;
  FrameScope scope(frame);
  return f(inputs);
}

Tensors custom_gradient(const std::string& name, const Tensors& inputs, const Tensors& outputs,
                        std::function<Tensors(const Tensors& gradients)> backward) {
  Tensors results;
  for (const Tensor& t : outputs) results.push_back(t.detach());
  bool tracked = false;
  for (const Tensor& t : inputs) tracked |= t.requires_grad();
  if (!tracked || !grad_enabled()) return results;
  auto node = std::make_shared<Node>();
  node->custom_name = name;
  node->custom_backward = std::move(backward);
  node->sequence = next_node_sequence();
  for (const Tensor& t : inputs) {
    node->edges.push_back(edge_of(t));
    node->inputs.push_back(t.defined() ? without_memory(t) : t);
    node->versions.push_back(0);
  }
  for (size_t i = 0; i < results.size(); ++i) {
    node->outputs.push_back(without_memory(results[i]));
    if (!is_differentiable(results[i].dtype())) continue;
    TensorImpl& impl = *results[i].impl();
    impl.node = node;
    impl.output_index = static_cast<int>(i);
    impl.requires_grad = true;
  }
  return results;
}

}  // namespace tallow
