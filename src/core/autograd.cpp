// Whether history is recorded, what a tensor knows of its own, and how it is freed. The backward
// pass is in ops/autograd, since it is written with ops.
#include "tallow/autograd.h"

#include <algorithm>
#include <atomic>

#include "core/tensor_impl.h"
#include "tallow/error.h"

namespace tallow {
namespace {

thread_local bool recording = true;
thread_local bool inference = false;
std::atomic<bool> anomalies{false};
std::atomic<uint64_t> sequence{1};
std::atomic<int64_t> hook_ids{1};

}  // namespace

void (*rebase_view)(TensorImpl& view) = nullptr;

bool grad_enabled() { return recording; }
void set_grad_enabled(bool enabled) { recording = enabled; }
bool inference_mode_enabled() { return inference; }
void set_inference_mode(bool enabled) { inference = enabled; }
bool anomaly_detection() { return anomalies.load(std::memory_order_relaxed); }
void set_anomaly_detection(bool enabled) { anomalies.store(enabled, std::memory_order_relaxed); }

uint64_t next_node_sequence() { return sequence.fetch_add(1, std::memory_order_relaxed); }
int64_t next_hook_id() { return hook_ids.fetch_add(1, std::memory_order_relaxed); }

std::shared_ptr<CheckpointFrame>& current_checkpoint() {
  static thread_local std::shared_ptr<CheckpointFrame> frame;
  return frame;
}

void refresh_view(TensorImpl& view) {
  if (view.base && view.generation != view.base->generation) rebase_view(view);
}

Edge edge_of(const Tensor& tensor) {
  if (!tensor.requires_grad()) return {};
  TensorImpl& t = *tensor.impl();
  if (t.node) return {t.node, t.output_index, nullptr};
  return {nullptr, 0, tensor.impl()};
}

Tensor without_memory(const Tensor& t) {
  static const std::shared_ptr<Buffer> nothing =
      Buffer::wrap(nullptr, 0, nullptr, Buffer::Kind::borrowed);
  Tensor stub(nothing, 0, t.shape(), t.strides(), t.dtype());
  stub.impl()->requires_grad = t.requires_grad();
  return stub;
}

// A chain of a million nodes must not be freed by a million nested destructors.
Node::~Node() {
  std::vector<std::shared_ptr<Node>> doomed;
  auto collect = [&](Node& node) {
    for (Edge& edge : node.edges) {
      if (edge.node && edge.node.use_count() == 1) doomed.push_back(std::move(edge.node));
    }
    node.edges.clear();
    // What a node keeps may hold the last reference to another: of a view, say.
    for (Tensors* kept : {&node.inputs, &node.outputs}) {
      for (Tensor& t : *kept) {
        if (t.defined() && t.impl().use_count() == 1 && t.impl()->node) {
          doomed.push_back(std::move(t.impl()->node));
        }
      }
      kept->clear();
    }
  };
  collect(*this);
  while (!doomed.empty()) {
    std::shared_ptr<Node> node = std::move(doomed.back());
    doomed.pop_back();
    if (node.use_count() == 1) collect(*node);
  }
}

bool Tensor::requires_grad() const {
  if (!impl_) return false;
  refresh_view(*impl_);
  return impl_->requires_grad;
}

Tensor& Tensor::requires_grad_(bool value) {
  if (value && !is_differentiable(dtype())) {
    fail("requires_grad: ", dtype(), " has no gradient; only real and complex dtypes have");
  }
  if (!value && requires_grad() && impl_->node) {
    fail("requires_grad: the result of an op cannot be told to want no gradient; use detach");
  }
  impl_->requires_grad = value;
  return *this;
}

bool Tensor::is_leaf() const { return !requires_grad() || !impl_->node; }
std::string Tensor::grad_fn() const { return is_leaf() ? "" : impl_->node->name(); }

Tensor Tensor::grad() const {
  dtype();  // throws where there is no tensor
  return impl_->extra ? impl_->extra->grad : Tensor();
}

void Tensor::set_grad(Tensor g) const {
  if (g.defined() && g.shape() != shape()) {
    fail("grad: ", g, " is not of the shape of the tensor, ", shape());
  }
  impl_->more().grad = std::move(g);
}

void Tensor::retain_grad() const {
  if (!requires_grad()) fail("retain_grad: the tensor does not require a gradient");
  if (!impl_->node) return;
  std::weak_ptr<TensorImpl> weak = impl_;
  register_hook([weak](const Tensor& g) {
    if (auto impl = weak.lock()) impl->more().grad = g;
    return Tensor();
  });
}

int64_t Tensor::register_hook(Hook hook) const {
  if (!requires_grad()) fail("register_hook: the tensor does not require a gradient");
  int64_t id = next_hook_id();
  if (impl_->node) {
    impl_->node->hooks.push_back({id, {impl_->output_index, std::move(hook)}});
  } else {
    impl_->more().hooks.emplace_back(id, std::move(hook));
  }
  return id;
}

void Tensor::remove_hook(int64_t id) const {
  auto is_it = [id](const auto& entry) { return entry.first == id; };
  if (impl_->node) std::erase_if(impl_->node->hooks, is_it);
  if (!impl_->extra) return;
  std::erase_if(impl_->extra->hooks, is_it);
  std::erase_if(impl_->extra->after_accumulation, is_it);
}

int64_t register_post_accumulate_grad_hook(const Tensor& leaf,
                                           std::function<void(const Tensor& leaf)> hook) {
  if (!leaf.requires_grad() || !leaf.is_leaf()) {
    fail("register_post_accumulate_grad_hook: ", leaf, " is no leaf that requires a gradient");
  }
  int64_t id = next_hook_id();
  leaf.impl()->more().after_accumulation.emplace_back(id, std::move(hook));
  return id;
}

Tensor Tensor::detach() const {
  dtype();
  const TensorImpl& t = *impl_;
  Tensor copy(t.buffer, t.offset, t.shape, t.strides, t.dtype);
  copy.impl_->is_inference = t.is_inference;
  return copy;
}

Tensor& Tensor::detach_() {
  if (is_view()) fail("detach_: the tensor is a view; use detach");
  impl_->node = nullptr;
  impl_->requires_grad = false;
  ++impl_->generation;
  return *this;
}

int64_t Tensor::version() const { return buffer()->version(); }
bool Tensor::is_view() const { return dtype(), impl_->base != nullptr; }

}  // namespace tallow
