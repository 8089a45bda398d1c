// Regions of a tensor, as views show them: reading, writing, and their gradients.
#pragma once

#include "core/tensor_impl.h"

namespace tallow {

/// Copies value's elements to where self's are. Shapes and dtypes are the same; no history.
void write_region(const Tensor& self, const Tensor& value);

/// The history of `base` after the region that `view` shows was replaced by `value`: a tensor
/// without memory.
Tensor replaced_history(const Tensor& base, const Tensor& view, const Tensor& value);

/// Makes the history of a view anew from that of its base: what `rebase_view` calls.
void rebase(TensorImpl& view);

/// Takes over the history of another tensor.
void give_history(TensorImpl& impl, const Tensor& from);

}  // namespace tallow
