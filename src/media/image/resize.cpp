// Resizing as Pillow does it: two passes, with weights of 22 bits after the point, and pixels that
// are rounded to 8 bits between the passes.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#include <vector>

#include "tallow/error.h"
#include "tallow/image.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

constexpr int kBits = 22;
constexpr int64_t kMostSide = int64_t{1} << 24;

double box(double x) { return x > -0.5 && x <= 0.5 ? 1 : 0; }

double triangle(double x) {
  x = std::abs(x);
  return x < 1 ? 1 - x : 0;
}

double hamming(double x) {
  x = std::abs(x);
  if (x == 0) return 1;
  if (x >= 1) return 0;
  x *= std::numbers::pi;
  return std::sin(x) / x * (0.54 + 0.46 * std::cos(x));
}

double cubic(double x) {  // Keys, 1981, with a = -0.5
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

double sinc(double x) {
  if (x == 0) return 1;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}

double lanczos(double x) { return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0; }

struct Filter {
  std::string_view name;
  double (*weight)(double);
  double support;
};
constexpr Filter kFilters[] = {{"nearest", nullptr, 0},   {"box", box, 0.5},
                               {"bilinear", triangle, 1}, {"hamming", hamming, 1},
                               {"bicubic", cubic, 2},     {"lanczos", lanczos, 3}};

const Filter& filter_of(std::string_view name) {
  for (const Filter& filter : kFilters) {
    if (filter.name == name) return filter;
  }
  fail("resize_image: filter '", name,
       "' is unknown; known are nearest, box, bilinear, hamming, bicubic, lanczos");
}

/// What each pixel of a row or column is made of: weights [to, taps] of the pixels from `first` on.
struct Weights {
  std::vector<int64_t> first, count;
  std::vector<int32_t> weights;
  int64_t taps;

  const int32_t* of(int64_t i) const { return weights.data() + i * taps; }
};

Weights weights_of(const Filter& filter, int64_t from, int64_t to) {
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  const double stretch = std::max(scale, 1.0), support = filter.support * stretch;
  Weights w;
  w.taps = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
  w.weights.resize(static_cast<size_t>(to * w.taps));
  std::vector<double> shares(static_cast<size_t>(w.taps));
  for (int64_t i = 0; i < to; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const auto first = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
    const int64_t count =
        std::min<int64_t>(static_cast<int64_t>(center + support + 0.5), from) - first;
    double sum = 0;
    for (int64_t k = 0; k < count; ++k) {
      const double share =
          filter.weight((static_cast<double>(k + first) - center + 0.5) * (1 / stretch));
      shares[static_cast<size_t>(k)] = share;
      sum += share;
    }
    for (int64_t k = 0; k < count; ++k) {
      double share = shares[static_cast<size_t>(k)];
      if (sum != 0) share /= sum;
      w.weights[static_cast<size_t>(i * w.taps + k)] =
          static_cast<int32_t>((share < 0 ? -0.5 : 0.5) + share * (1 << kBits));
    }
    w.first.push_back(first);
    w.count.push_back(count);
  }
  return w;
}

uint8_t rounded(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kBits, 0, 255)); }

constexpr int32_t kHalf = 1 << (kBits - 1);

/// Rows [width, C] to [to, C].
template <int64_t C>
void resize_row(const uint8_t* row, const Weights& w, uint8_t* out, int64_t to) {
  for (int64_t x = 0; x < to; ++x) {
    const int32_t* weights = w.of(x);
    const uint8_t* pixel = row + w.first[static_cast<size_t>(x)] * C;
    int32_t sums[C];
    std::fill(sums, sums + C, kHalf);
    for (int64_t k = 0; k < w.count[static_cast<size_t>(x)]; ++k, pixel += C) {
      for (int64_t c = 0; c < C; ++c) sums[c] += pixel[c] * weights[k];
    }
    for (int64_t c = 0; c < C; ++c) out[x * C + c] = rounded(sums[c]);
  }
}

/// One row of `n` bytes of rows that are as long.
void resize_column(const uint8_t* rows, int64_t n, const int32_t* weights, int64_t count,
                   uint8_t* out) {
  constexpr int64_t kPiece = 256;  // sums that stay in the first cache
  int32_t sums[kPiece];
  for (int64_t from = 0; from < n; from += kPiece) {
    const int64_t size = std::min(kPiece, n - from);
    std::fill(sums, sums + size, kHalf);
    for (int64_t k = 0; k < count; ++k) {
      const uint8_t* row = rows + k * n + from;
      const int32_t weight = weights[k];
      for (int64_t i = 0; i < size; ++i) sums[i] += row[i] * weight;
    }
    for (int64_t i = 0; i < size; ++i) out[from + i] = rounded(sums[i]);
  }
}

Tensor resize_width(const Tensor& image, int64_t width, const Filter& filter) {
  const int64_t height = image.size(0), channels = image.size(2), from = image.size(1) * channels;
  const Weights w = weights_of(filter, image.size(1), width);
  Tensor out = Tensor::empty({height, width, channels}, DType::u8);
  constexpr decltype(&resize_row<1>) kRows[] = {resize_row<1>, resize_row<2>, resize_row<3>,
                                                resize_row<4>};
  const auto resize = kRows[channels - 1];
  parallel_for(height, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t y = begin; y < end; ++y) {
      resize(image.data<uint8_t>() + y * from, w, out.data<uint8_t>() + y * width * channels,
             width);
    }
  });
  return out;
}

Tensor resize_height(const Tensor& image, int64_t height, const Filter& filter) {
  const int64_t n = image.size(1) * image.size(2);
  const Weights w = weights_of(filter, image.size(0), height);
  Tensor out = Tensor::empty({height, image.size(1), image.size(2)}, DType::u8);
  parallel_for(height, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t y = begin; y < end; ++y) {
      const auto i = static_cast<size_t>(y);
      resize_column(image.data<uint8_t>() + w.first[i] * n, n, w.of(y), w.count[i],
                    out.data<uint8_t>() + y * n);
    }
  });
  return out;
}

/// The pixel that each one is a copy of. Pillow adds up its steps, and their errors.
std::vector<int64_t> nearest(int64_t from, int64_t to) {
  const double step = static_cast<double>(from) / static_cast<double>(to);
  std::vector<int64_t> result;
  double at = step * 0.5;
  for (int64_t i = 0; i < to; ++i, at += step) {
    result.push_back(std::min(static_cast<int64_t>(at), from - 1));
  }
  return result;
}

Tensor resize_nearest(const Tensor& image, int64_t height, int64_t width) {
  const int64_t channels = image.size(2), row = image.size(1) * channels;
  const auto rows = nearest(image.size(0), height), columns = nearest(image.size(1), width);
  Tensor out = Tensor::empty({height, width, channels}, DType::u8);
  auto* to = out.data<uint8_t>();
  for (const int64_t y : rows) {
    for (const int64_t x : columns) {
      std::memcpy(to, image.data<uint8_t>() + y * row + x * channels,
                  static_cast<size_t>(channels));
      to += channels;
    }
  }
  return out;
}

}  // namespace

Tensor resize_image(const Tensor& image, int64_t height, int64_t width, std::string_view name) {
  const Filter& filter = filter_of(name);
  if (image.dtype() != DType::u8 || image.dim() != 3 || image.size(2) < 1 || image.size(2) > 4 ||
      image.numel() == 0) {
    fail("resize_image: the image is ", image, "; it needs u8 [height, width, 1 to 4]");
  }
  if (height < 1 || width < 1 || height > kMostSide || width > kMostSide) {
    fail("resize_image: ", width, " x ", height, " pixels are no size");
  }
  const Tensor from = image.contiguous();
  if (!filter.weight) return resize_nearest(from, height, width);
  const auto columns = [&](const Tensor& x) {
    return width == x.size(1) ? x : resize_width(x, width, filter);
  };
  const auto rows = [&](const Tensor& x) {
    return height == x.size(0) ? x : resize_height(x, height, filter);
  };
  // Pillow 13's order, which rounding between the passes shows.
  const int64_t fewer_rows = from.size(0) - height, fewer_columns = from.size(1) - width;
  const bool rows_first = fewer_rows > 0 && fewer_rows > 2 * fewer_columns;
  return rows_first ? columns(rows(from)) : rows(columns(from));
}

}  // namespace tallow
