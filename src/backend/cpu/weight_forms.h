// The packed forms that linear's weights keep, and products with weights that keep none.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "backend/cpu/gemm/gemm.h"
#include "tallow/tensor.h"

namespace tallow::cpu {

/// A weight for as long as one call computes with it.
struct HeldWeight {
  Weight weight;
  std::shared_ptr<void> form;  ///< keeps its data
};
HeldWeight hold(const Tensor& weight, const Tensor& bias);

/// Whether the weight takes a form, which found no room.
inline bool finds_no_room(const Weight& w) {
  return w.form != Weight::Form::rows && !w.data && w.n > 0 && w.k > 0;
}

/// Calls multiply(slices, first row) for ranges of rows of weights [n, k] of one n, none of which
/// is taken as rows: the forms of a range are made for the call, and let go.
void in_slices(std::span<const Tensor> weights, std::span<const Weight> held,
               const std::function<void(std::span<const Weight>, int64_t)>& multiply);

}  // namespace tallow::cpu
