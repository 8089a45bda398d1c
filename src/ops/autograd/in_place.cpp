// Writing in place: values, version and history of the tensor and of all that share its memory.
//
// A view that is written to gives its base a new history: the old one, with the view's region
// replaced by the new values. Other views find out when they are next asked (refresh_view), and
// become that region of the base.
#include <algorithm>

#include "core/tensor_impl.h"
#include "ops/autograd/regions.h"
#include "ops/elements.h"
#include "tallow/autograd.h"
#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

// Whether two elements may be the same memory: a repeated one is, by its stride of 0.
bool overlaps_itself(const Tensor& x) {
  for (int i = 0; i < x.dim(); ++i) {
    if (x.shape()[i] > 1 && x.strides()[i] == 0) return x.numel() > 0;
  }
  return false;
}

int rank(DType dtype) {
  if (is_complex(dtype)) return 3;
  if (is_real(dtype)) return 2;
  return dtype == DType::boolean ? 0 : 1;
}

void check(const Tensor& self, const char* op, const Tensor& result) {
  if (!self.defined()) fail(op, ": the tensor was not given a value");
  if (rank(result.dtype()) > rank(self.dtype())) {
    fail(op, ": the result is ", result.dtype(), ", which does not convert to ", self.dtype(),
         "; use the form that returns a new tensor");
  }
  if (result.shape() != self.shape()) {
    fail(op, ": the result is ", result.shape(), " and does not fit the tensor, ", self.shape(),
         "; broadcasting does not enlarge a tensor in place");
  }
  if (overlaps_itself(self)) {
    fail(op, ": elements of ", self, " share memory (it was expanded); clone it first");
  }
  if (self.buffer()->kind() == Buffer::Kind::mapped) {
    fail(op, ": ", self, " is mapped from a file and cannot be written; clone it first");
  }
  if (!grad_enabled()) return;
  if (self.requires_grad() && self.is_leaf()) {
    fail(op, ": ", self, " is a leaf that requires a gradient; use NoGrad, or a copy");
  }
  const TensorImpl& impl = *self.impl();
  if (impl.base && impl.base->requires_grad && !impl.base->node) {
    fail(op, ": ", self, " is a view of a leaf that requires a gradient; use NoGrad, or a copy");
  }
  if (impl.is_inference && result.requires_grad()) {
    fail(op, ": an inference tensor cannot take a result with history; clone it first");
  }
}

// The inputs that the op itself kept of the memory that its result is about to replace: those of
// the nodes that made the value, as far as an op made of several goes.
struct Kept {
  std::vector<std::pair<Node*, size_t>> inputs;

  Kept(const Tensor& value, const TensorImpl& self) {
    if (!value.defined()) return;
    constexpr size_t kMost = 8;
    std::vector<Node*> nodes;
    if (value.impl()->node) nodes.push_back(value.impl()->node.get());
    for (size_t n = 0; n < nodes.size(); ++n) {
      Node& node = *nodes[n];
      for (size_t i = 0; i < node.inputs.size(); ++i) {
        const Tensor& t = node.inputs[i];
        if (t.defined() && t.buffer() == self.buffer && node.versions[i] == t.buffer()->version()) {
          inputs.emplace_back(&node, i);
        }
      }
      for (const Edge& edge : node.edges) {
        Node* next = edge.node.get();
        bool seen = next == self.node.get() || (self.base && next == self.base->node.get());
        seen |= std::find(nodes.begin(), nodes.end(), next) != nodes.end();
        if (next && !seen && nodes.size() < kMost) nodes.push_back(next);
      }
    }
  }

  // Gives each of them a copy of its elements.
  void copy() const {
    for (auto [node, i] : inputs) {
      const TensorImpl& from = *node->inputs[i].impl();
      Tensor copy = node->inputs[i].detach().clone();
      copy.impl()->requires_grad = from.requires_grad;
      copy.impl()->node = from.node;
      copy.impl()->output_index = from.output_index;
      node->inputs[i] = copy;
      node->versions[i] = copy.buffer()->version();
    }
  }
};

// Takes the value's memory in place of self's, where nobody else sees either, but for what the op
// kept: no copy.
bool take_memory(TensorImpl& to, const Tensor& value, const Kept& kept) {
  const TensorImpl& from = *value.impl();
  const long users = 1 + static_cast<long>(kept.inputs.size());
  bool alone = !to.base && to.buffer.use_count() == users && from.buffer.use_count() == 1 &&
               value.impl().use_count() == 1 && to.buffer->kind() == Buffer::Kind::owned &&
               from.buffer->kind() == Buffer::Kind::owned && from.offset == 0 && to.offset == 0 &&
               to.strides == from.strides && value.is_contiguous();
  if (!alone) return false;
  from.buffer->continue_version(to.buffer->version() + 1);
  to.buffer = from.buffer;
  return true;
}

Tensor& write(Tensor& self, const Tensor& value, bool may_take) {
  bool tracked = grad_enabled() && (value.requires_grad() || self.requires_grad());
  TensorImpl& impl = *self.impl();
  // A result replaces what its op may have kept; what is copied has no part in its history.
  const Kept kept(may_take && tracked ? value : Tensor(), impl);
  if (!may_take || !take_memory(impl, value, kept)) {
    kept.copy();
    impl.buffer->modified();
    write_region(self, value);
  }
  if (!tracked) return self;
  rebase_view = rebase;
  if (!impl.base && !value.requires_grad()) {
    // The old values no longer count: their gradient is zero.
    give_history(impl, custom_gradient("overwritten", {self}, {self}, [](const Tensors& grads) {
                   return Tensors{Tensor::zeros(grads[0].shape(), grads[0].dtype())};
                 })[0]);
    ++impl.generation;
    return self;
  }
  if (!impl.base) {
    // The values of a leaf are a result like any other: of a view of it.
    give_history(impl,
                 value.is_leaf() && value.requires_grad() ? value.view(value.shape()) : value);
    ++impl.generation;
    return self;
  }
  give_history(*impl.base, replaced_history(Tensor(impl.base), self, value));
  ++impl.base->generation;
  refresh_view(impl);
  return self;
}

}  // namespace

Tensor& in_place(Tensor& self, const char* op, Tensor&& result) {
  check(self, op, result);
  Tensor value = result.dtype() == self.dtype() ? std::move(result) : result.to(self.dtype());
  return write(self, value, true);
}

Tensor& Tensor::copy_(const Tensor& source) {
  Tensor value = source.dtype() == dtype() ? source : source.to(dtype());
  if (value.shape() != shape()) value = value.expand(shape());
  check(*this, "copy_", value);
  return write(*this, value, false);
}

}  // namespace tallow
