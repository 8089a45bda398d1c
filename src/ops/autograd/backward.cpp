// The backward pass: nodes in the reverse order of their recording, each one's gradients summed
// before it runs, everything freed as the pass goes.
#include <cmath>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "core/tensor_impl.h"
#include "ops/autograd/saved.h"
#include "ops/elements.h"
#include "tallow/autograd.h"
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

void accumulate(Tensor& sum, Tensor g) { sum = sum.defined() ? add(sum, g) : std::move(g); }

// What the gradient is asked of: tensors that ops made, by node and output, and leaves.
class Targets {
 public:
  explicit Targets(const Tensors& inputs) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      Edge edge = edge_of(inputs[i]);
      if (!edge.wanted()) {
        fail("grad: input ", i, " (", inputs[i],
             ") does not require a gradient; set requires_grad");
      }
      edges_.insert(key(edge));
      if (edge.node) nodes_.insert(edge.node.get());
    }
  }
  using Key = std::pair<const void*, int>;
  static Key key(const Edge& edge) {
    if (edge.node) return {edge.node.get(), edge.index};
    return {edge.leaf.get(), 0};
  }
  bool contains(const Edge& edge) const { return edges_.contains(key(edge)); }
  bool contains(const Node& node) const { return nodes_.contains(&node); }
  bool empty() const { return edges_.empty(); }

  struct Hash {
    size_t operator()(const Key& k) const {
      return std::hash<const void*>()(k.first) * 31 + static_cast<size_t>(k.second);
    }
  };

 private:
  std::unordered_set<Key, Hash> edges_;
  std::unordered_set<const Node*> nodes_;
};

using Found = std::unordered_map<Targets::Key, Tensor, Targets::Hash>;

// Which nodes lie between the outputs and the targets, so that no other gradient is computed.
class Reachable {
 public:
  explicit Reachable(const Targets& targets) : targets_(targets) {}

  bool wants(const Edge& edge) {
    if (!edge.wanted()) return false;
    if (targets_.empty() || targets_.contains(edge)) return true;
    return edge.node && reaches(*edge.node);
  }

 private:
  // Depth first with a stack of its own: graphs are deeper than the call stack.
  bool reaches(const Node& root) {
    std::vector<std::pair<const Node*, size_t>> stack{{&root, 0}};
    while (!stack.empty()) {
      auto& [node, next] = stack.back();
      if (known_.contains(node)) {
        stack.pop_back();
        continue;
      }
      const Node* below = nullptr;
      for (; next < node->edges.size() && !below; ++next) {
        const Node* candidate = node->edges[next].node.get();
        if (candidate && !known_.contains(candidate)) below = candidate;
      }
      if (below) {
        stack.emplace_back(below, 0);
        continue;
      }
      bool wanted = false;
      for (const Edge& edge : node->edges) {
        wanted |=
            edge.wanted() && (targets_.contains(edge) || (edge.node && known_[edge.node.get()]));
      }
      known_[node] = wanted;
      stack.pop_back();
    }
    return known_[&root];
  }

  const Targets& targets_;
  std::unordered_map<const Node*, bool> known_;
};

Tensors through_composite(const Node& node, const Tensors& saved, const Tensors& grads,
                          bool create_graph) {
  Tensors inputs = saved;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].defined() || create_graph) continue;
    inputs[i] = inputs[i].detach();
    if (node.edges[i].wanted()) inputs[i].requires_grad_();
  }
  Tensors outputs;
  {
    GradMode recording(true);
    outputs = node.op->thunks->composite(*node.op, inputs, node.options.data());
  }
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

Tensors node_gradients(const NodePtr& node, Tensors grads, bool create_graph) {
  if (node->custom_backward) return node->custom_backward(grads);
  for (size_t i = 0; i < grads.size(); ++i) {
    const Spec& spec = node->specs[i];
    if (!grads[i].defined() && is_differentiable(spec.dtype))
      grads[i] = Tensor::zeros(spec.shape, spec.dtype);
  }
  SavedTensors saved = saved_tensors(node, create_graph);
  if (node->op->has_vjp) {
    return node->op->thunks->vjp(*node->op, saved.inputs, saved.outputs, grads,
                                 node->options.data());
  }
  if (node->op->has_composite) return through_composite(*node, saved.inputs, grads, create_graph);
  fail(node->op->name, ": has no gradient; detach its input or compute it under NoGrad");
}

bool has_nan(const Tensor& g) {
  double chunk[kChunk];
  ElementReader<double> reader(g, g.shape());
  for (int64_t i = 0, n = g.numel(); i < n; i += kChunk) {
    int64_t count = std::min(kChunk, n - i);
    const double* values = reader.read(i, count, chunk);
    for (int64_t j = 0; j < count; ++j) {
      if (std::isnan(values[j])) return true;
    }
  }
  return false;
}

// A gradient in the shape and dtype of what it is the gradient of: of a real one the real part.
Tensor fitted(Tensor g, const Tensor& to, const Node& node, size_t input) {
  if (g.shape() != to.shape()) g = sum_to(g, to.shape());
  if (g.dtype() != to.dtype()) g = g.to(to.dtype());
  if (anomaly_detection() && has_nan(g)) {
    fail("backward of ", node.name(), ": returned nan in the gradient of input ", input, " (",
         to.dtype(), " ", to.shape(), ")");
  }
  return g;
}

Tensor initial_gradient(const Tensor& output, const Tensor& given) {
  if (given.defined()) {
    if (given.shape() != output.shape()) {
      fail("backward: the gradient is ", given.shape(), " but the output is ", output.shape());
    }
    return given.dtype() == output.dtype() ? given : given.to(output.dtype());
  }
  if (output.numel() != 1) {
    fail("backward: an output of shape ", output.shape(),
         " needs a gradient; only a single element has the default of 1");
  }
  if (is_complex(output.dtype())) {
    fail("backward: a complex output needs a gradient; only a real one has the default of 1");
  }
  return Tensor::full(output.shape(), 1, output.dtype());
}

void run_hooks(Node& node, Tensors& grads) {
  for (size_t i = 0; i < node.hooks.size(); ++i) {
    auto [output, hook] = node.hooks[i].second;  // a copy: a hook may remove itself
    Tensor& g = grads[static_cast<size_t>(output)];
    if (!g.defined()) continue;
    if (Tensor other = hook(g); other.defined()) g = other;
  }
}

// One pass. `sink` gets the gradient of every leaf and of every target that is reached.
template <class Sink>
class Pass {
 public:
  Pass(const Targets& targets, const GradOptions& options, const Sink& sink)
      : targets_(targets), reachable_(targets), options_(options), sink_(sink) {}

  void start(const Tensor& output, const Tensor& given) {
    if (!output.requires_grad()) {
      fail("backward: the output does not depend on a tensor with requires_grad");
    }
    deliver(edge_of(output), initial_gradient(output, given));
  }

  void run() {
    GradMode mode(options_.create_graph);
    while (!queue_.empty()) {
      Pending pending = std::move(queue_.begin()->second);
      queue_.erase(queue_.begin());
      Node& node = *pending.node;
      run_hooks(node, pending.grads);
      if (targets_.contains(node)) report(pending);
      if (!targets_.empty() && !leads_on(node)) continue;
      if (node.released) {
        fail("backward: the values that ", node.name(),
             " kept were freed by an earlier pass; give that one retain_graph");
      }
      Tensors grads = node_gradients(pending.node, std::move(pending.grads), options_.create_graph);
      if (grads.size() > node.edges.size()) {
        fail("backward: ", node.name(), " returned ", grads.size(), " gradients for ",
             node.edges.size(), " inputs");
      }
      for (size_t i = 0; i < grads.size(); ++i) {
        if (!grads[i].defined() || !reachable_.wants(node.edges[i])) continue;
        Tensor g = fitted(std::move(grads[i]), node.inputs[i], node, i);
        grads[i] = {};
        deliver(node.edges[i], std::move(g));
      }
      if (!options_.retain_graph && !options_.create_graph) release(node);
    }
  }

 private:
  bool leads_on(const Node& node) {
    for (const Edge& edge : node.edges) {
      if (reachable_.wants(edge)) return true;
    }
    return false;
  }

  void report(const Pending& pending) {
    for (size_t i = 0; i < pending.grads.size(); ++i) {
      Edge edge{pending.node, static_cast<int>(i), nullptr};
      if (pending.grads[i].defined() && targets_.contains(edge)) sink_(edge, pending.grads[i]);
    }
  }

  void deliver(const Edge& edge, Tensor g) {
    if (!reachable_.wants(edge)) return;
    if (!edge.node) return sink_(edge, std::move(g));
    Pending& pending = queue_[edge.node->sequence];
    if (!pending.node) {
      size_t outputs =
          edge.node->custom_backward ? edge.node->outputs.size() : edge.node->specs.size();
      pending = {edge.node, Tensors(outputs)};
    }
    accumulate(pending.grads[static_cast<size_t>(edge.index)], std::move(g));
  }

  const Targets& targets_;
  Reachable reachable_;
  GradOptions options_;
  const Sink& sink_;
  std::map<uint64_t, Pending, std::greater<>> queue_;
};

template <class Sink>
void run_pass(const Tensors& outputs, const Tensors& output_grads, const Targets& targets,
              const GradOptions& options, const Sink& sink) {
  Pass<Sink> pass(targets, options, sink);
  for (size_t i = 0; i < outputs.size(); ++i) {
    pass.start(outputs[i], i < output_grads.size() ? output_grads[i] : Tensor());
  }
  pass.run();
}

Tensor through_leaf_hooks(const TensorImpl& leaf, Tensor g) {
  if (!leaf.extra) return g;
  auto hooks = leaf.extra->hooks;
  for (auto& [id, hook] : hooks) {
    if (Tensor other = hook(g); other.defined()) g = other;
  }
  return g;
}

// Adds g to the leaf's gradient: into the memory that is there, unless history is recorded.
void add_to_grad(TensorImpl& leaf, Tensor g, bool create_graph) {
  Tensor& sum = leaf.more().grad;
  if (!sum.defined()) {
    bool ours = g.impl().use_count() == 1 && g.buffer().use_count() == 1 && g.is_contiguous();
    sum = ours || create_graph ? std::move(g) : g.contiguous().clone();
    if (!create_graph && sum.requires_grad()) sum = sum.detach();
  } else if (create_graph) {
    sum = add(sum, g);
  } else {
    in_place(sum, "add_", add(sum.detach(), g));
  }
}

}  // namespace

Tensors grad(const Tensors& outputs, const Tensors& inputs, const Tensors& grad_outputs,
             const GradOptions& options) {
  Targets targets(inputs);
  Found found;
  run_pass(outputs, grad_outputs, targets, options, [&](const Edge& edge, Tensor g) {
    if (edge.leaf) g = through_leaf_hooks(*edge.leaf, std::move(g));
    accumulate(found[Targets::key(edge)], std::move(g));
  });
  Tensors result;
  for (size_t i = 0; i < inputs.size(); ++i) {
    result.push_back(found[Targets::key(edge_of(inputs[i]))]);
    if (!result.back().defined() && !options.allow_unused) {
      fail("grad: input ", i, " (", inputs[i], ") is not used by the outputs; set allow_unused");
    }
  }
  return result;
}

void backward(const Tensors& tensors, const Tensors& gradients, const GradOptions& options,
              const Tensors& inputs) {
  Targets targets(inputs);
  // A leaf that is used twice gets its hooks called once, with the sum.
  Found found;
  std::vector<Edge> order;
  run_pass(tensors, gradients, targets, options, [&](const Edge& edge, Tensor g) {
    auto [at, is_new] = found.try_emplace(Targets::key(edge));
    if (is_new) order.push_back(edge);
    accumulate(at->second, std::move(g));
  });
  GradMode mode(options.create_graph);
  for (const Edge& edge : order) {
    if (!edge.leaf) continue;
    Tensor g = through_leaf_hooks(*edge.leaf, std::move(found[Targets::key(edge)]));
    add_to_grad(*edge.leaf, std::move(g), options.create_graph);
    const auto hooks = edge.leaf->extra->after_accumulation;
    for (const auto& [id, hook] : hooks) hook(Tensor(edge.leaf));
  }
  for (const Tensor& t : inputs) {
    if (!t.is_leaf()) add_to_grad(*t.impl(), found[Targets::key(edge_of(t))], options.create_graph);
  }
}

void Tensor::backward(const Tensor& gradient, bool retain_graph, bool create_graph) const {
  tallow::backward({*this}, {gradient},
                   {.create_graph = create_graph, .retain_graph = retain_graph});
}

}  // namespace tallow
