// apply: the one dispatch function.
#include "tallow/op.h"

#include <cstring>

#include "core/backend.h"
#include "core/profiler.h"
#include "core/tensor_impl.h"
#include "tallow/autograd.h"
#include "tallow/error.h"

namespace tallow {
namespace {

Device common_device(const OpBase& op, Inputs inputs) {
  const Tensor* first = nullptr;
  for (const Tensor& t : inputs) {
    if (!t.defined()) continue;
    if (!first) first = &t;
    if (t.device() != first->device()) {
      fail(op.name, ": inputs are on ", first->device(), " and on ", t.device(),
           "; move them to one device");
    }
  }
  return first ? first->device() : cpu_device;
}

// Views of a view belong to the same base.
Tensor view_of(const Tensor& source, const Spec& spec) {
  const TensorImpl& from = *source.impl();
  Tensor view(from.buffer, spec.offset, spec.shape, spec.strides, spec.dtype);
  TensorImpl& impl = *view.impl();
  impl.is_inference |= from.is_inference;
  if (impl.is_inference) return view;
  impl.base = from.base ? from.base : source.impl();
  impl.generation = impl.base->generation;
  return view;
}

Tensor make_output(const OpBase& op, Inputs inputs, const Spec& spec, Device device, bool tracked) {
  if (spec.alias < 0) return Tensor::empty(spec.shape, spec.dtype, device);
  const Tensor& source = inputs[static_cast<size_t>(spec.alias)];
  if (spec.is_view) return view_of(source, spec);
  if (tracked) {
    fail(op.name, ": works in place, so that a gradient through it would be wrong; use NoGrad");
  }
  source.buffer()->modified();
  return source;
}

double bytes_moved(Inputs inputs, Outputs outputs) {
  double total = 0;
  for (const Tensor& t : inputs) total += t.defined() ? static_cast<double>(t.nbytes()) : 0;
  for (const Tensor& t : outputs) total += static_cast<double>(t.nbytes());
  return total;
}

bool run_kernel(const OpBase& op, Device device, Inputs inputs, Outputs outputs,
                const void* options) {
  if (!profiler::enabled()) return op.thunks->run(op, device.kind, inputs, outputs, options);
  int64_t begin = profiler::now();
  if (!op.thunks->run(op, device.kind, inputs, outputs, options)) return false;
  int64_t end = profiler::now();
  Work work = op.has_work ? op.thunks->work(op, inputs, outputs, options) : Work{};
  if (work.bytes == 0) work.bytes = bytes_moved(inputs, outputs);
  profiler::record(op.name, begin, end, work);
  return true;
}

// What the backward pass will see of an input. The values are those of now, so the copy of the
// handle has none of the tensor's later history.
Tensor keep(const OpBase& op, const Tensor& t, bool is_read) {
  if (!t.defined()) return t;
  if (!is_read || current_checkpoint()) return without_memory(t);
  const TensorImpl& from = *t.impl();
  if (from.is_inference) {
    fail(op.name, ": an inference tensor cannot be kept for the backward pass; clone it first");
  }
  if (from.requires_grad && !from.node) return t;
  Tensor copy(from.buffer, from.offset, from.shape, from.strides, from.dtype);
  TensorImpl& to = *copy.impl();
  to.requires_grad = from.requires_grad;
  to.node = from.node;
  to.output_index = from.output_index;
  to.is_number = from.is_number;
  return copy;
}

// The inputs whose values the gradient needs, a bit each.
uint64_t read_inputs(const OpBase& op, Inputs inputs) {
  if (op.shapes_only && op.has_vjp) return 0;
  if (!op.reads) return ~uint64_t{0};
  uint32_t wanted = 0;
  for (size_t i = 0; i < inputs.size() && i < 32; ++i) {
    wanted |= static_cast<uint32_t>(inputs[i].requires_grad()) << i;
  }
  return op.reads(wanted);
}

void record_node(const OpBase& op, Inputs inputs, const void* options, Specs specs,
                 Outputs outputs) {
  auto node = std::make_shared<Node>();
  node->op = &op;
  node->options.resize(op.thunks->options_bytes);
  std::memcpy(node->options.data(), options, op.thunks->options_bytes);
  node->specs = std::move(specs);
  node->sequence = next_node_sequence();
  uint64_t reads = read_inputs(op, inputs);
  const std::shared_ptr<CheckpointFrame>& frame = current_checkpoint();
  bool collecting = frame && frame->collecting;
  if (collecting) frame->slots.emplace_back();
  for (size_t i = 0; i < inputs.size(); ++i) {
    bool is_read = i >= 64 ? reads != 0 : (reads >> i & 1) != 0;
    node->edges.push_back(edge_of(inputs[i]));
    node->inputs.push_back(keep(op, inputs[i], is_read));
    node->versions.push_back(is_read && inputs[i].defined() ? inputs[i].buffer()->version() : 0);
    if (!collecting) continue;
    // Values alone: what has a history here holds the frame.
    bool with_values = is_read && inputs[i].defined();
    frame->slots.back().first.push_back(with_values ? inputs[i].detach() : node->inputs.back());
  }
  for (const Tensor& t : outputs) {
    if (!op.save_outputs) break;
    node->outputs.push_back(frame ? without_memory(t) : t.detach());
    node->versions.push_back(t.buffer()->version());
    if (collecting) frame->slots.back().second.push_back(t.detach());
  }
  if (frame) {
    node->frame = frame;
    node->slot = collecting ? frame->slots.size() - 1 : frame->recorded++;
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    TensorImpl& impl = *outputs[i].impl();
    if (!is_differentiable(impl.dtype)) continue;
    impl.node = node;
    impl.output_index = static_cast<int>(i);
    impl.requires_grad = true;
  }
}

}  // namespace

Specs::Specs(std::initializer_list<Spec> specs) {
  if (specs.size() == 1) {
    one_ = *specs.begin();
    size_ = 1;
  } else {
    many_.assign(specs.begin(), specs.end());
  }
}

void Specs::push_back(const Spec& spec) {
  if (size_ == 1) many_.push_back(one_);
  size_ = 0;
  many_.push_back(spec);
}

namespace {

// One call, in steps, so that one output needs no list.
struct Call {
  const OpBase& op;
  Inputs inputs;
  const void* options;
  Device device = common_device(op, inputs);
  Specs specs = op.thunks->infer(op, inputs, options);
  bool tracked = false;

  Call(const OpBase& called, Inputs in, const void* o) : op(called), inputs(in), options(o) {
    if (!grad_enabled()) return;
    for (const Tensor& t : inputs) tracked |= t.requires_grad();
  }
  Tensor output(size_t i) const { return make_output(op, inputs, specs[i], device, tracked); }

  // Fills the outputs; false where another way must be found.
  bool run(Outputs outputs) const {
    bool views_only = true;
    for (const Spec& spec : specs) views_only &= spec.is_view;
    return views_only || run_kernel(op, device, inputs, outputs, options);
  }

  Tensors run_composite() const {
    if (!op.has_composite)
      fail(op.name, ": no kernel for ", device, "; move the inputs to the CPU");
    if (tracked && !op.has_vjp) return op.thunks->composite(op, inputs, options);
    NoGrad no_grad;
    return op.thunks->composite(op, inputs, options);
  }

  void record(Outputs outputs, bool by_composite) {
    if (!tracked || (by_composite && !op.has_vjp)) return;
    record_node(op, inputs, options, std::move(specs), outputs);
  }
};

}  // namespace

void ensure_backends() {
  static const bool bound = (bind_backends(), true);
  (void)bound;
}

Tensors detail::apply(const OpBase& op, Inputs inputs, const void* options) {
  ensure_backends();
  Call call(op, inputs, options);
  Tensors outputs;
  outputs.reserve(call.specs.size());
  for (size_t i = 0; i < call.specs.size(); ++i) outputs.push_back(call.output(i));
  bool ran = call.run(outputs);
  if (!ran) outputs = call.run_composite();
  call.record(outputs, !ran);
  return outputs;
}

Tensor detail::apply_one(const OpBase& op, Inputs inputs, const void* options) {
  ensure_backends();
  Call call(op, inputs, options);
  if (call.specs.size() != 1) return detail::apply(op, inputs, options)[0];
  Tensor output = call.output(0);
  bool ran = call.run({&output, 1});
  if (!ran) output = call.run_composite()[0];
  call.record({&output, 1}, !ran);
  return output;
}

}  // namespace tallow
