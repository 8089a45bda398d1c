// Linear layers with bounds.
#include "models/encoders/clipped_linear.h"

#include <algorithm>

namespace tallow {

Tensor clipped(const Tensor& x, double low, double high) {
  return std::isinf(low) && std::isinf(high) ? x : hardtanh(x, low, high);
}

ClippedLinear::ClippedLinear(const Weights& w, bool bounded, int64_t in, int64_t out, double limit)
    : linear(w / "linear", in, out) {
  const auto bound = [&](const char* name, double none) {
    return bounded ? w.get(name, {}).to(DType::f32).item() : none;
  };
  in_min = bound("input_min", -INFINITY);
  in_max = bound("input_max", INFINITY);
  out_min = std::clamp(bound("output_min", -INFINITY), -limit, limit);
  out_max = std::clamp(bound("output_max", INFINITY), -limit, limit);
}

Tensor ClippedLinear::operator()(const Tensor& x) const {
  return clipped(linear(clipped(x, in_min, in_max)), out_min, out_max);
}

}  // namespace tallow
