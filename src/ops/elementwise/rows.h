// What the rows of the tables declare: their loops, which backends replace, and the functions of
// those that the public headers do not show. See elementwise.def.
#pragma once

#include "ops/elementwise/kernel.h"
#include "tallow/ops.h"

namespace tallow {

namespace elementwise {
#define ROW(name, ...) extern Loops name##_loops;
#define UNARY ROW
#define BINARY ROW
#define TERNARY ROW
#define UNARY_P ROW
#define BINARY_P ROW
#define TERNARY_P ROW
#include "ops/elementwise/elementwise.def"
#undef ROW
#undef UNARY
#undef BINARY
#undef TERNARY
#undef UNARY_P
#undef BINARY_P
#undef TERNARY_P
}  // namespace elementwise

namespace rows {
#define UNARY(...)
#define BINARY(...)
#define TERNARY(...)
#define UNARY_P(name, ...) \
  Tensor name(const Tensor& x, double p0 = 0, double p1 = 0, double p2 = 0);
#define BINARY_P(name, ...) Tensor name(const Tensor& a, const Tensor& b, double p0 = 0);
#define TERNARY_P(name, ...) \
  Tensor name(const Tensor& a, const Tensor& b, const Tensor& c, double p0 = 0);
#include "ops/elementwise/elementwise.def"
#undef UNARY
#undef BINARY
#undef TERNARY
#undef UNARY_P
#undef BINARY_P
#undef TERNARY_P
}  // namespace rows

}  // namespace tallow
