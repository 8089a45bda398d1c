// The weights of resampling: PyTorch's UpSampleKernel.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "ops/image/resample.h"

namespace tallow::image {
namespace {

// Input elements per output element.
template <class T>
T step_of(const ResampleOptions& o, int d) {
  if (o.align_corners) {
    return o.out[d] > 1 ? static_cast<T>(o.in[d] - 1) / static_cast<T>(o.out[d] - 1) : T(0);
  }
  if (o.scale[d] > 0) return static_cast<T>(1.0 / o.scale[d]);
  return static_cast<T>(o.in[d]) / static_cast<T>(o.out[d]);
}

int64_t taps_of(Filter f) {
  switch (f) {
    case Filter::linear: return 2;
    case Filter::cubic: return 4;
    case Filter::lanczos: return 6;
    default: return 1;
  }
}

// The filter at distance x. Keys' cubic has a = -0.75, or -0.5 (as PIL's) against aliasing.
template <class T>
T response(Filter f, T x, T a) {
  x = std::abs(x);
  if (f == Filter::linear) return x < 1 ? 1 - x : T(0);
  if (f == Filter::cubic) {
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : T(0);
  }
  auto sinc = [](T v) {
    v *= static_cast<T>(std::numbers::pi);
    return v == 0 ? T(1) : std::sin(v) / v;
  };
  return x < 3 ? sinc(x) * sinc(x / 3) : T(0);
}

template <class T>
void add_aliased(Table<T>& t, const ResampleOptions& o, int d, int64_t i, T step) {
  const int64_t size = o.in[d], taps = taps_of(o.filter);
  const T at =
      o.align_corners ? step * static_cast<T>(i) : step * (static_cast<T>(i) + T(0.5)) - T(0.5);
  const T place = taps == 2 && !o.align_corners ? std::max(at, T(0)) : at;
  const int64_t index = std::min(static_cast<int64_t>(std::floor(place)), size - 1);
  const T fraction = std::clamp(place - static_cast<T>(index), T(0), T(1));
  const int64_t lowest = index - taps / 2 + 1;
  const int64_t start = std::clamp<int64_t>(lowest, 0, size - 1);
  const int64_t end = std::clamp<int64_t>(index + taps / 2 + 1, start + 1, size);
  t.start.push_back(start);
  t.count.push_back(end - start);
  T* weights = t.weights.data() + i * t.width;
  for (int64_t j = 0; j < taps; ++j) {  // what is outside counts for the edge
    const T distance = static_cast<T>(lowest + j - index) - fraction;
    weights[std::clamp(lowest + j, start, end - 1) - start] +=
        response(o.filter, distance, T(-0.75));
  }
}

template <class T>
void add_smooth(Table<T>& t, const ResampleOptions& o, int d, int64_t i, T step) {
  const T half = static_cast<T>(taps_of(o.filter)) * T(0.5);
  const T support = step >= 1 ? half * step : half;
  const T center = step * (static_cast<T>(i) + T(0.5)), inverse = step >= 1 ? 1 / step : T(1);
  const int64_t start = std::max<int64_t>(static_cast<int64_t>(center - support + T(0.5)), 0);
  const int64_t end = std::min(static_cast<int64_t>(center + support + T(0.5)), o.in[d]);
  t.start.push_back(start);
  t.count.push_back(end - start);
  T* weights = t.weights.data() + i * t.width;
  T total = 0;
  for (int64_t j = 0; j < end - start; ++j) {
    const T distance = (static_cast<T>(j + start) - center + T(0.5)) * inverse;
    total += weights[j] = response(o.filter, distance, T(-0.5));
  }
  for (int64_t j = 0; j < end - start; ++j) weights[j] = total != 0 ? weights[j] / total : T(0);
}

}  // namespace

template <class T>
Table<T> table_of(const ResampleOptions& o, int d) {
  Table<T> t;
  const T step = step_of<T>(o, d);
  t.width = taps_of(o.filter);
  if (o.antialias) {
    const T reach = static_cast<T>(t.width) * T(0.5) * std::max(step, T(1));
    t.width = static_cast<int64_t>(std::ceil(reach)) * 2 + 1;
  }
  t.weights.assign(static_cast<size_t>(t.width * o.out[d]), T(0));
  for (int64_t i = 0; i < o.out[d]; ++i) {
    if (o.filter == Filter::nearest || o.filter == Filter::nearest_exact) {
      const T shift = o.filter == Filter::nearest ? T(0) : T(0.5);
      const T at = std::floor((static_cast<T>(i) + shift) * step);
      t.start.push_back(std::min(static_cast<int64_t>(at), o.in[d] - 1));
      t.count.push_back(1);
      t.weights[static_cast<size_t>(i)] = 1;
    } else if (o.antialias) {
      add_smooth(t, o, d, i, step);
    } else {
      add_aliased(t, o, d, i, step);
    }
  }
  return t;
}
template Table<float> table_of(const ResampleOptions&, int);
template Table<double> table_of(const ResampleOptions&, int);

// The largest power of two with which all weights stay below 2^15.
FixedTable fixed_table_of(const ResampleOptions& o, int d) {
  const Table<double> t = table_of<double>(o, d);
  double top = 0;
  for (double w : t.weights) top = std::max(top, w);
  int precision = 0;
  while (precision < 22 && static_cast<int64_t>(0.5 + top * (1 << (precision + 1))) < (1 << 15)) {
    ++precision;
  }
  FixedTable fixed{t.width, precision, t.start, t.count, {}};
  for (double w : t.weights) {
    const double scaled = w * (1 << precision);
    fixed.weights.push_back(static_cast<int32_t>(scaled + (w < 0 ? -0.5 : 0.5)));
  }
  return fixed;
}

}  // namespace tallow::image
