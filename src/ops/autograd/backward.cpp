// The backward pass: nodes in the reverse order of their recording, each one's gradients summed
// before it runs, everything freed as the pass goes.
#include "tallow/autograd.h"

#include <map>
#include <unordered_map>
#include <unordered_set>

#include "core/tensor_impl.h"
#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

using NodePtr = std::shared_ptr<Node>;

// Gradients of a node's outputs, waiting until the pass reaches the node.
struct Pending {
  NodePtr node;
  Tensors grads;
};

void accumulate(Tensor& sum, const Tensor& g) { sum = sum.defined() ? sum + g : g; }

// Which nodes lie between the outputs and what is asked for, so that no other gradient is computed.
class Reachable {
 public:
  explicit Reachable(const Tensors& targets, bool leaves) : leaves_(leaves) {
    for (const Tensor& t : targets) targets_.insert(t.impl().get());
  }

  bool is_target(const Tensor& t) const { return targets_.contains(t.impl().get()); }

  bool wants(const Tensor& t) {
    if (!t.requires_grad()) return false;
    if (is_target(t)) return true;
    if (!t.impl()->node) return leaves_;
    return node(*t.impl()->node);
  }

 private:
  // Depth first with a stack of its own: graphs are deeper than the call stack.
  bool node(const Node& root) {
    std::vector<std::pair<const Node*, size_t>> stack{{&root, 0}};
    while (!stack.empty()) {
      auto& [n, next] = stack.back();
      if (known_.contains(n)) {
        stack.pop_back();
        continue;
      }
      bool descended = false, wanted = false;
      for (; next < n->inputs.size() && !descended; ++next) {
        const Tensor& t = n->inputs[next];
        const Node* below = t.requires_grad() && !is_target(t) ? t.impl()->node.get() : nullptr;
        if (below && !known_.contains(below)) {
          stack.emplace_back(below, 0);
          descended = true;
          break;
        }
      }
      if (descended) continue;
      for (const Tensor& t : n->inputs) {
        if (!t.requires_grad()) continue;
        wanted |= is_target(t) || (t.impl()->node ? known_[t.impl()->node.get()] : leaves_);
      }
      known_[n] = wanted;
      stack.pop_back();
    }
    return known_[&root];
  }

  std::unordered_set<const TensorImpl*> targets_;
  std::unordered_map<const Node*, bool> known_;
  bool leaves_;
};

Tensors through_composite(const Node& node, const Tensors& grads, bool create_graph) {
  Tensors inputs = node.inputs;
  if (!create_graph) {
    for (Tensor& t : inputs) {
      if (t.defined()) t = t.detach().requires_grad_(t.requires_grad());
    }
  }
  bool before = grad_enabled();
  set_grad_enabled(true);
  Tensors outputs = node.op->thunks->composite(*node.op, inputs, node.options.data());
  set_grad_enabled(before);
  Tensors wanted, out, out_grads;
  for (const Tensor& t : inputs) {
    if (t.requires_grad()) wanted.push_back(t);
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].requires_grad()) continue;
    out.push_back(outputs[i]);
    out_grads.push_back(grads[i]);
  }
  Tensors found =
      grad(out, wanted, out_grads, {.create_graph = create_graph, .allow_unused = true});
  Tensors result(inputs.size());
  for (size_t i = 0, j = 0; i < inputs.size(); ++i) {
    if (inputs[i].requires_grad()) result[i] = found[j++];
  }
  return result;
}

Tensors node_gradients(const Node& node, Tensors grads, bool create_graph) {
  for (size_t i = 0; i < grads.size(); ++i) {
    if (!grads[i].defined()) grads[i] = Tensor::zeros(node.specs[i].shape, node.specs[i].dtype);
  }
  if (node.op->has_vjp) {
    return node.op->thunks->vjp(*node.op, node.inputs, node.outputs, grads, node.options.data());
  }
  if (node.op->has_composite) return through_composite(node, grads, create_graph);
  fail(node.op->name, ": has no gradient; detach its input or compute it under NoGrad");
}

Tensor initial_gradient(const Tensor& output, const Tensor& given) {
  if (given.defined()) {
    if (given.shape() != output.shape()) {
      fail("backward: the gradient is ", given.shape(), " but the output is ", output.shape());
    }
    return given;
  }
  if (output.numel() != 1) {
    fail("backward: an output of shape ", output.shape(),
         " needs a gradient; only a single element has the default of 1");
  }
  return Tensor::full(output.shape(), 1, output.dtype());
}

// Calls `sink` with the gradient of every target (or leaf) that is reached.
template <class Sink>
void run_backward(const Tensors& outputs, const Tensors& output_grads, Reachable& reachable,
                  bool create_graph, const Sink& sink) {
  bool before = grad_enabled();
  set_grad_enabled(create_graph);
  struct Restore {
    bool value;
    ~Restore() { set_grad_enabled(value); }
  } restore{before};
  std::map<uint64_t, Pending, std::greater<>> queue;
  auto deliver = [&](const Tensor& t, const Tensor& g) {
    if (!g.defined() || !reachable.wants(t)) return;
    if (reachable.is_target(t) || !t.impl()->node) return sink(t, g);
    const NodePtr& node = t.impl()->node;
    Pending& pending = queue[node->sequence];
    if (!pending.node) pending = {node, Tensors(node->specs.size())};
    accumulate(pending.grads[t.impl()->output_index], g);
  };
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].requires_grad()) {
      fail("backward: the output does not depend on a tensor with requires_grad");
    }
    deliver(outputs[i],
            initial_gradient(outputs[i], i < output_grads.size() ? output_grads[i] : Tensor()));
  }
  while (!queue.empty()) {
    Pending pending = std::move(queue.begin()->second);
    queue.erase(queue.begin());
    Tensors grads = node_gradients(*pending.node, std::move(pending.grads), create_graph);
    for (size_t i = 0; i < pending.node->inputs.size() && i < grads.size(); ++i) {
      if (pending.node->inputs[i].defined()) deliver(pending.node->inputs[i], grads[i]);
    }
  }
}

}  // namespace

Tensors grad(const Tensors& outputs, const Tensors& inputs, const Tensors& grad_outputs,
             const GradOptions& options) {
  Reachable reachable(inputs, false);
  std::unordered_map<const TensorImpl*, Tensor> found;
  run_backward(outputs, grad_outputs, reachable, options.create_graph,
               [&](const Tensor& t, const Tensor& g) { accumulate(found[t.impl().get()], g); });
  Tensors result;
  for (size_t i = 0; i < inputs.size(); ++i) {
    result.push_back(found[inputs[i].impl().get()]);
    if (!result.back().defined() && !options.allow_unused) {
      fail("grad: input ", i, " (", inputs[i], ") is not used by the outputs; set allow_unused");
    }
  }
  return result;
}

void Tensor::backward(const Tensor& gradient) const {
  Reachable reachable({}, true);
  run_backward({*this}, {gradient}, reachable, false, [](const Tensor& t, const Tensor& g) {
    Tensor sum = t.grad();
    accumulate(sum, g);
    t.set_grad(sum.detach());
  });
}

}  // namespace tallow
