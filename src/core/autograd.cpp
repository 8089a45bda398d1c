// Whether history is recorded, and how it is freed. The backward pass is in ops/backward.cpp, since
// it is written with ops.
#include "tallow/autograd.h"

#include "core/tensor_impl.h"

namespace tallow {
namespace {

thread_local bool recording = true;

}  // namespace

bool grad_enabled() { return recording; }
void set_grad_enabled(bool enabled) { recording = enabled; }

// A chain of a million nodes must not be freed by a million nested destructors.
Node::~Node() {
  std::vector<std::shared_ptr<Node>> doomed;
  auto collect = [&](Tensors& held) {
    for (Tensor& t : held) {
      if (t.defined() && t.impl().use_count() == 1 && t.impl()->node) {
        doomed.push_back(std::move(t.impl()->node));
      }
    }
    held.clear();
  };
  collect(inputs);
  while (!doomed.empty()) {
    std::shared_ptr<Node> node = std::move(doomed.back());
    doomed.pop_back();
    if (node.use_count() == 1) collect(node->inputs);
  }
}

}  // namespace tallow
