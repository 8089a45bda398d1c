// interpolate: the choice of a resampling.
#include <algorithm>
#include <cmath>

#include "ops/elements.h"
#include "ops/image/resample.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

using namespace image;

struct Mode {
  std::string_view name;
  Filter filter;
  int dims;  // 0: any
};
constexpr Mode kModes[] = {
    {"nearest", Filter::nearest, 0},  {"nearest-exact", Filter::nearest_exact, 0},
    {"linear", Filter::linear, 1},    {"bilinear", Filter::linear, 2},
    {"trilinear", Filter::linear, 3}, {"bicubic", Filter::cubic, 2},
    {"lanczos", Filter::lanczos, 2},
};

const Mode& mode_of(std::string_view name, const Tensor& x) {
  for (const Mode& m : kModes) {
    if (m.name != name) continue;
    if (m.dims && m.dims + 2 != x.dim()) {
      fail("interpolate: mode \"", name, "\" needs ", m.dims + 2, " dimensions, not ", x);
    }
    return m;
  }
  fail("interpolate: mode is \"", name, "\"; it must be nearest, nearest-exact, linear, bilinear, ",
       "bicubic, trilinear, lanczos or area");
}

// Sizes of the result; scale[d] where a factor was given that is to be kept.
void read_target(const Tensor& x, const Dims& size, const Reals& factors, bool recompute,
                 ResampleOptions& o) {
  const int dims = x.dim() - 2;
  const int count = factors.size();
  if (size.given() == (count > 0)) {
    fail("interpolate: exactly one of size and scale_factor must be given");
  }
  if (recompute && size.given()) {
    fail("interpolate: recompute_scale_factor needs a scale_factor, not a size");
  }
  const int given = size.given() ? size.size() : count;
  const bool one = size.given() ? size.is_number() : count == 1;
  if (given != dims && !one) {
    fail("interpolate: ", given, " sizes or factors for ", dims, " dimensions of ", x);
  }
  for (int i = 0; i < dims; ++i) {
    const int d = 3 - dims + i;
    o.in[d] = x.shape()[i + 2];
    if (size.given()) {
      o.out[d] = size[one ? 0 : i];
    } else {
      const double factor = factors[one ? 0 : i];
      const double wanted = static_cast<double>(o.in[d]) * factor;
      if (!(wanted >= 1 && wanted < 4e18)) {
        fail("interpolate: scale_factor ", factor, " leaves nothing of ", o.in[d], " elements");
      }
      o.out[d] = static_cast<int64_t>(wanted);
      o.scale[d] = recompute ? 0 : factor;
    }
    if (o.in[d] < 1 || o.out[d] < 1) {
      fail("interpolate: input is ", x, " and the result's size ", o.out[d],
           "; both must have elements");
    }
  }
}

Tensor area(const Tensor& x, const ResampleOptions& o) {
  switch (o.dims) {
    case 1: return adaptive_avg_pool1d(x, o.out[2]);
    case 2: return adaptive_avg_pool2d(x, Shape{o.out[1], o.out[2]});
    default: return adaptive_avg_pool3d(x, Shape{o.out[0], o.out[1], o.out[2]});
  }
}

}  // namespace

Tensor interpolate(const Tensor& x, const Dims& size, const Reals& scale_factor,
                   std::string_view mode, std::optional<bool> align_corners,
                   std::optional<bool> recompute_scale_factor, bool antialias) {
  check_not_block("interpolate", x);
  if (x.dim() < 3 || x.dim() > 5) {
    fail("interpolate: input is ", x, "; it needs 3, 4 or 5 dimensions: batch, channels, space");
  }
  ResampleOptions o{x.dim() - 2, Filter::nearest, align_corners.value_or(false),
                    antialias,   {1, 1, 1},       {1, 1, 1},
                    {}};
  const bool is_area = mode == "area";
  read_target(x, size, scale_factor,
              (is_area && !size.given()) || recompute_scale_factor.value_or(false), o);
  if (x.shape()[1] == 0) fail("interpolate: input is ", x, "; only the batch may be of size 0");
  if (antialias &&
      (x.dim() != 4 || (mode != "bilinear" && mode != "bicubic" && mode != "lanczos"))) {
    fail("interpolate: antialias is for bilinear, bicubic and lanczos of 4 dimensions, not for \"",
         mode, "\" of ", x);
  }
  if (is_area) {
    if (align_corners) fail("interpolate: align_corners has no meaning in mode \"area\"");
    return area(x, o);
  }
  const Mode& m = mode_of(mode, x);
  const bool nearest = m.filter == Filter::nearest || m.filter == Filter::nearest_exact;
  if (nearest && align_corners) {
    fail("interpolate: align_corners has no meaning in mode \"", mode, "\"");
  }
  if (m.filter == Filter::lanczos && (!antialias || o.align_corners)) {
    fail("interpolate: lanczos needs antialias, and cannot align corners");
  }
  const bool bytes = x.dtype() == DType::u8 && (nearest || o.dims == 2);
  if (!is_real(x.dtype()) && !bytes) fail("interpolate: input is ", x, "; call .to(f32) first");
  o.filter = m.filter;
  return resample(x, o);
}

Tensor upsample(const Tensor& x, const Dims& size, const Reals& scale_factor, std::string_view mode,
                std::optional<bool> align_corners) {
  return interpolate(x, size, scale_factor, mode, align_corners);
}
Tensor upsample_nearest(const Tensor& x, const Dims& size, const Reals& scale_factor) {
  return interpolate(x, size, scale_factor, "nearest");
}
Tensor upsample_bilinear(const Tensor& x, const Dims& size, const Reals& scale_factor) {
  return interpolate(x, size, scale_factor, "bilinear", true);
}

}  // namespace tallow
