// quantile and nanquantile: of sorted rows, between the elements that stand nearest.
#include <cmath>

#include "ops/order/select.h"
#include "tallow/autograd.h"

namespace tallow {
namespace {

void check_quantile(const char* op, const Tensor& self, const Tensor& q,
                    std::string_view interpolation) {
  if (self.dtype() != DType::f32 && self.dtype() != DType::f64) {
    fail(op, ": self ", self, " must be f32 or f64");
  }
  if (self.numel() == 0) fail(op, ": self ", self, " has no elements");
  if (q.dim() > 1) fail(op, ": q ", q, " must be a number or have 1 dimension");
  if (!q.is_number() && q.dtype() != self.dtype()) {
    fail(op, ": q ", q, " must have the dtype of self, ", self.dtype());
  }
  const Tensor wide = q.detach().to(DType::f64).contiguous();
  for (int64_t i = 0; i < wide.numel(); ++i) {
    const double v = wide.data<double>()[i];
    if (!(v >= 0 && v <= 1)) fail(op, ": q holds ", v, ", outside 0..1");
  }
  for (std::string_view known : {"linear", "lower", "higher", "midpoint", "nearest"}) {
    if (interpolation == known) return;
  }
  fail(op, ": interpolation is \"", interpolation,
       "\"; it is \"linear\", \"lower\", \"higher\", \"midpoint\" or \"nearest\"");
}

// The places that are read, and how much of the way to the second one the result is.
struct Places {
  Tensor below, above, share;
};

// From ranks in [0, n): where, by the way of interpolation.
Places places(const Tensor& ranks, std::string_view interpolation) {
  const Tensor r = ranks.contiguous();
  Places p{Tensor::empty(r.shape(), DType::i64), Tensor::empty(r.shape(), DType::i64),
           Tensor::empty(r.shape(), DType::f64)};
  for (int64_t i = 0; i < r.numel(); ++i) {
    double rank = r.data<double>()[i];
    if (interpolation == "lower") rank = std::floor(rank);
    if (interpolation == "higher") rank = std::ceil(rank);
    if (interpolation == "nearest") rank = std::nearbyint(rank);
    const double below = std::floor(rank), above = std::ceil(rank);
    p.below.data<int64_t>()[i] = static_cast<int64_t>(below);
    p.above.data<int64_t>()[i] = static_cast<int64_t>(above);
    const bool middle = interpolation == "midpoint";
    p.share.data<double>()[i] = middle ? 0.5 : rank - below;
  }
  return p;
}

Tensor of_rows(const Tensor& x, const Tensor& q, bool ignore_nan, std::string_view interpolation) {
  const int64_t n = x.size(-1);
  const Tensor sorted = sort(x, -1).values;
  Tensor ranks, steps, whole;
  {
    NoGrad no_grad;
    const Tensor numbers = sum(equal_to(sorted, sorted), Dims{-1}, true, DType::f64);
    steps = ignore_nan ? maximum(numbers - 1.0, 0.0) : numbers * 0.0 + double(n - 1);
    ranks = steps * q.detach().to(x.dtype()).to(DType::f64).reshape({-1});
    if (x.dtype() == DType::f32) ranks = ranks.to(DType::f32).to(DType::f64);
    // Rows with NaN, or of nothing else, depend on no q. The former read it, at their end.
    whole = ignore_nan ? numbers : equal_to(numbers, double(n));
    if (!ignore_nan) ranks = ranks * whole + (1.0 - whole) * double(n - 1);
  }
  const Places p = places(ranks, interpolation);
  const Tensor below = pick_along(sorted, -1, p.below);
  if (interpolation != "linear" && interpolation != "midpoint") return below;
  const Tensor above = pick_along(sorted, -1, p.above);
  Tensor share = p.share.to(x.dtype());
  if (interpolation == "linear" && q.requires_grad()) {  // as steeply as the ranks grow with q
    const Tensor flat = q.reshape({-1});
    const Tensor steeper = share + (steps * (flat - flat.detach())).to(x.dtype());
    share = where(ne(whole, 0), steeper, share);
  }
  return lerp(below, above, share);
}

Tensor run(const char* op, const Tensor& self, const Tensor& q, std::optional<int64_t> dim,
           bool keepdim, std::string_view interpolation, bool ignore_nan) {
  check_quantile(op, self, q, interpolation);
  const int axis = dim ? checked_dim(self, *dim, op) : 0;
  Tensor x = dim ? at_least_one_dim(self).transpose(axis, -1) : self.reshape({-1});
  if (x.size(-1) == 0) fail(op, ": dim ", *dim, " of ", self, " has no elements");
  Tensor found = of_rows(x, q, ignore_nan, interpolation);  // [.., k]
  // The results' dimensions, then k in front.
  const uint32_t dims = dim ? (self.dim() == 0 ? 0 : 1u << axis) : (1u << self.dim()) - 1;
  const int64_t k = found.size(-1);
  found = found.unsqueeze(0).transpose(0, -1);  // [k, .., 1]
  if (dim && self.dim() > 0) found = found.transpose(axis + 1, -1);
  Shape shape = reduced_shape(self.shape(), dims, keepdim);
  if (q.dim() == 1) shape.insert(0, k);
  return found.reshape(shape);
}

}  // namespace

Tensor quantile(const Tensor& self, const Tensor& q, std::optional<int64_t> dim, bool keepdim,
                std::string_view interpolation) {
  return run("quantile", self, q, dim, keepdim, interpolation, false);
}

Tensor nanquantile(const Tensor& self, const Tensor& q, std::optional<int64_t> dim, bool keepdim,
                   std::string_view interpolation) {
  return run("nanquantile", self, q, dim, keepdim, interpolation, true);
}

}  // namespace tallow
