// apply: the one dispatch function.
#include "tallow/op.h"

#include <atomic>
#include <cstring>

#include "core/backend.h"
#include "core/profiler.h"
#include "core/tensor_impl.h"
#include "tallow/autograd.h"
#include "tallow/error.h"

namespace tallow {
namespace {

std::atomic<uint64_t> next_sequence{1};

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

Tensors make_outputs(const OpBase& op, Inputs inputs, const Specs& specs, Device device,
                     bool tracked) {
  Tensors outputs;
  outputs.reserve(specs.size());
  for (const Spec& spec : specs) {
    if (spec.alias < 0) {
      outputs.push_back(Tensor::empty(spec.shape, spec.dtype, device));
    } else if (spec.is_view) {
      outputs.emplace_back(inputs[spec.alias].buffer(), spec.offset, spec.shape, spec.strides,
                           spec.dtype);
    } else if (tracked) {
      fail(op.name, ": works in place, so that a gradient through it would be wrong; use NoGrad");
    } else {
      outputs.push_back(inputs[spec.alias]);
    }
  }
  return outputs;
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

void record_node(const OpBase& op, Inputs inputs, const void* options, Specs specs,
                 Tensors& outputs) {
  auto node = std::make_shared<Node>();
  node->op = &op;
  node->options.resize(op.thunks->options_bytes);
  std::memcpy(node->options.data(), options, op.thunks->options_bytes);
  node->inputs.assign(inputs.begin(), inputs.end());
  node->specs = std::move(specs);
  node->sequence = next_sequence.fetch_add(1, std::memory_order_relaxed);
  if (op.save_outputs) {
    for (const Tensor& t : outputs) node->outputs.push_back(t.detach());
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

Tensors detail::apply(const OpBase& op, Inputs inputs, const void* options) {
  static const bool bound = (bind_backends(), true);
  (void)bound;
  Specs specs = op.thunks->infer(op, inputs, options);
  bool tracked = false;
  if (grad_enabled()) {
    for (const Tensor& t : inputs) tracked |= t.requires_grad();
  }
  Device device = common_device(op, inputs);
  bool views_only = true;
  for (const Spec& spec : specs) views_only &= spec.is_view;
  Tensors outputs = make_outputs(op, inputs, specs, device, tracked);
  if (!views_only && !run_kernel(op, device, inputs, outputs, options)) {
    if (!op.has_composite) {
      fail(op.name, ": no kernel for ", device, "; move the inputs to the CPU");
    }
    if (tracked && !op.has_vjp) return op.thunks->composite(op, inputs, options);
    NoGrad no_grad;
    outputs = op.thunks->composite(op, inputs, options);
  }
  if (tracked) record_node(op, inputs, options, std::move(specs), outputs);
  return outputs;
}

}  // namespace tallow
