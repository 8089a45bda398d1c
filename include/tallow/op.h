// How an op is defined and applied: one object, whose page is one file.
//
//   static Specs infer(Inputs in, const RopeOptions&);              the only shape and dtype checks
//   static Tensors vjp(const Saved<RopeOptions>&, Inputs grads);    written with ops
//   static void cpu(Inputs in, Outputs out, const RopeOptions&);    the portable kernel
//   constinit Op<RopeOptions> rope_op{"rope", {.infer = infer, .vjp = vjp, .cpu = cpu}};
//   Tensor rope(const Tensor& x, ...) { return apply(rope_op, {x, positions}, options); }
#pragma once

#include <initializer_list>
#include <span>
#include <type_traits>

#include "tallow/tensor.h"

namespace tallow {

using Inputs = std::span<const Tensor>;   ///< an absent optional input is an undefined Tensor
using Outputs = std::span<const Tensor>;  ///< preallocated; kernels write through raw()

/// What an output will be.
struct Spec {
  Shape shape;
  DType dtype = DType::f32;
  int alias = -1;        ///< the input whose memory the output is, or -1 for memory of its own
  bool is_view = false;  ///< with alias: a layout only (strides, offset), so that no kernel runs
  Shape strides = {};
  int64_t offset = 0;  ///< bytes from the buffer's start
};

/// A Spec per output, kept inline where there is one, as most ops have.
class Specs {
 public:
  Specs() = default;
  Specs(std::initializer_list<Spec> specs);
  void push_back(const Spec& spec);
  void pop_back() {
    if (size_ == 1) {
      size_ = 0;
    } else {
      many_.pop_back();
    }
  }
  size_t size() const { return size_ + many_.size(); }
  bool empty() const { return size() == 0; }
  const Spec* begin() const { return size_ ? &one_ : many_.data(); }
  const Spec* end() const { return begin() + size(); }
  const Spec& operator[](size_t i) const { return begin()[i]; }
  Spec& operator[](size_t i) { return size_ ? one_ : many_[i]; }

 private:
  size_t size_ = 0;  // 1 where the one spec is inline
  Spec one_;
  std::vector<Spec> many_;
};

/// What a call costs at least, for the profiler.
struct Work {
  double flops = 0;
  double bytes = 0;  ///< 0: the bytes of all inputs and outputs
};

/// What the backward pass of one call may use.
template <class O>
struct Saved {
  Inputs inputs;
  Inputs outputs;  ///< only where the op says `.save_outputs = true`
  const O& options;
};

struct NoOptions {};

template <class O>
struct OpFunctions {
  Specs (*infer)(Inputs, const O&) = nullptr;
  /// A gradient for each input (undefined where there is none). It may have the shape that the
  /// input was broadcast to, and the dtype that it was promoted to: the pass sums and converts it.
  Tensors (*vjp)(const Saved<O>&, Inputs grads) = nullptr;
  void (*cpu)(Inputs, Outputs, const O&) = nullptr;
  /// The same result from simpler ops: for devices without a kernel, for the gradient of an op
  /// without a vjp, and as the oracle of its kernels.
  Tensors (*composite)(Inputs, const O&) = nullptr;
  Work (*work)(Inputs, Outputs, const O&) = nullptr;
  bool save_outputs = false;
  /// The vjp reads the inputs' shapes and dtypes only, so that their memory need not be kept.
  bool shapes_only = false;
  /// Finer: the inputs whose values the vjp reads (a bit each), given those whose gradient is
  /// wanted. The others have a shape and dtype there, and no memory.
  uint32_t (*reads)(uint32_t wanted) = nullptr;
};

/// `reads` of a product of two inputs: each one's gradient reads the other.
constexpr uint32_t reads_the_other(uint32_t wanted) {
  return (wanted >> 1 & 1) | (wanted & 1) << 1;
}

/// The part of an op that does not depend on its options' type.
struct OpBase {
  const char* name;
  struct Thunks {
    Specs (*infer)(const OpBase&, Inputs, const void*);
    Tensors (*vjp)(const OpBase&, Inputs in, Inputs out, Inputs grads, const void*);
    bool (*run)(const OpBase&, DeviceKind, Inputs, Outputs, const void*);  // false: no kernel
    Tensors (*composite)(const OpBase&, Inputs, const void*);
    Work (*work)(const OpBase&, Inputs, Outputs, const void*);
    size_t options_bytes;
  };
  const Thunks* thunks;
  bool has_vjp, has_composite, has_work, save_outputs, shapes_only;
  uint32_t (*reads)(uint32_t wanted);
};

template <class O = NoOptions>
struct Op : OpBase {
  static_assert(std::is_trivially_copyable_v<O>, "options are plain data");
  using Kernel = void (*)(Inputs, Outputs, const O&);

  constexpr Op(const char* op_name, OpFunctions<O> functions)
      : OpBase{op_name,
               &table,
               functions.vjp != nullptr,
               functions.composite != nullptr,
               functions.work != nullptr,
               functions.save_outputs,
               functions.shapes_only,
               functions.reads},
        fn(functions),
        kernels{functions.cpu} {}

  /// Gives the op a kernel on a device, in place of the one it had.
  void bind(DeviceKind device, Kernel kernel) { kernels[static_cast<int>(device)] = kernel; }

  OpFunctions<O> fn;
  Kernel kernels[kDeviceKinds];

 private:
  static const Op& self(const OpBase& op) { return static_cast<const Op&>(op); }
  static const O& options(const void* o) { return *static_cast<const O*>(o); }
  static constexpr Thunks table{
      [](const OpBase& op, Inputs in, const void* o) { return self(op).fn.infer(in, options(o)); },
      [](const OpBase& op, Inputs in, Inputs out, Inputs grads, const void* o) {
        return self(op).fn.vjp(Saved<O>{in, out, options(o)}, grads);
      },
      [](const OpBase& op, DeviceKind device, Inputs in, Outputs out, const void* o) {
        Kernel kernel = self(op).kernels[static_cast<int>(device)];
        if (kernel) kernel(in, out, options(o));
        return kernel != nullptr;
      },
      [](const OpBase& op, Inputs in, const void* o) {
        return self(op).fn.composite(in, options(o));
      },
      [](const OpBase& op, Inputs in, Outputs out, const void* o) {
        return self(op).fn.work(in, out, options(o));
      },
      sizeof(O)};
};

namespace detail {
Tensors apply(const OpBase& op, Inputs inputs, const void* options);
/// The first output, without a list around it.
Tensor apply_one(const OpBase& op, Inputs inputs, const void* options);
}  // namespace detail

/// The one dispatch function: infer, pick the device's kernel, else run the composite, else throw;
/// then record the node if a gradient is wanted.
template <class O>
Tensors apply_many(const Op<O>& op, Inputs inputs, const std::type_identity_t<O>& options = {}) {
  return detail::apply(op, inputs, &options);
}
template <class O>
Tensor apply(const Op<O>& op, std::initializer_list<Tensor> inputs,
             const std::type_identity_t<O>& options = {}) {
  return detail::apply_one(op, Inputs(inputs.begin(), inputs.size()), &options);
}

}  // namespace tallow
