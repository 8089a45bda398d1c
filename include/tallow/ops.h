// The operators: PyTorch's names, argument orders and defaults, a header per family. The Python
// package, its stubs and the methods of Tensor are made from these declarations, so their form is
// fixed:
//   - `self` is the tensor of ops that are methods too (PyTorch's keyword for it is `input`);
//     `input` is that of functions only.
//   - Tensor: a number may stand for it. Scalar: a number only. Dims: `1` or `{0, -1}`. Shape:
//   sizes.
//     std::optional<T> and `= {}`: None in Python.
//   - Several results are a struct of Tensors (a named tuple in Python) or Tensors (a tuple).
//   - The `///` lines are the documentation.
#pragma once

#include "tallow/ops/activation.h"     // IWYU pragma: export
#include "tallow/ops/attention.h"      // IWYU pragma: export
#include "tallow/ops/convolution.h"    // IWYU pragma: export
#include "tallow/ops/creation.h"       // IWYU pragma: export
#include "tallow/ops/dropout.h"        // IWYU pragma: export
#include "tallow/ops/elementwise.h"    // IWYU pragma: export
#include "tallow/ops/image.h"          // IWYU pragma: export
#include "tallow/ops/indexing.h"       // IWYU pragma: export
#include "tallow/ops/inference.h"      // IWYU pragma: export
#include "tallow/ops/linalg.h"         // IWYU pragma: export
#include "tallow/ops/loss.h"           // IWYU pragma: export
#include "tallow/ops/normalization.h"  // IWYU pragma: export
#include "tallow/ops/order.h"          // IWYU pragma: export
#include "tallow/ops/pooling.h"        // IWYU pragma: export
#include "tallow/ops/products.h"       // IWYU pragma: export
#include "tallow/ops/recurrent.h"      // IWYU pragma: export
#include "tallow/ops/reduce.h"         // IWYU pragma: export
#include "tallow/ops/shape.h"          // IWYU pragma: export
#include "tallow/ops/signal.h"         // IWYU pragma: export
#include "tallow/ops/special.h"        // IWYU pragma: export
#include "tallow/ops/spectral.h"       // IWYU pragma: export
