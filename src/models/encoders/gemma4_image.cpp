#include "models/encoders/gemma4_image.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "models/encoders/processor_config.h"
#include "tallow/error.h"
#include "tallow/image.h"

namespace tallow {
namespace {

constexpr int64_t kBudgets[] = {70, 140, 280, 560, 1120};

/// Pillow's numbers of filters.
std::string filter_of(const Config& c) {
  if (!c.boolean_or("do_resize", true)) return "";
  constexpr const char* kFilters[] = {"nearest", "lanczos", "bilinear",
                                      "bicubic", "box",     "hamming"};
  return kFilters[c.integer_or("resample", 3, 0, 5)];
}

/// A number for each colour, or one for all.
std::array<float, 3> colours(const Config& c, const char* key, float fallback) {
  std::array<float, 3> result{fallback, fallback, fallback};
  const Json* value = c.find(key);
  if (!value || value->is_null()) return result;
  for (size_t i = 0; i < 3; ++i) {
    const bool list = value->is_array();
    if (list && value->items().size() != 3) fail(c.what(), ": ", key, " must have 3 numbers");
    const Json& one = list ? value->items()[i] : *value;
    if (!one.is_number()) fail(c.what(), ": ", key, ": ", one.dump(), " is not a number");
    result[i] = static_cast<float>(one.number());
  }
  return result;
}

FrameSampling sampling_of(const Config& c) {
  const bool all = c.values().find("num_frames") && !c.has("num_frames");  // null
  if (!c.boolean_or("do_sample_frames", true)) return {.most = 0};
  if (!c.has("fps")) return {.most = all ? 0 : c.integer_or("num_frames", 32)};
  if (c.has("num_frames")) fail(c.what(), ": has num_frames and fps; leave one of them null");
  const double rate = c.number("fps");
  if (!(rate > 0)) fail(c.what(), ": fps ", rate, " is not positive");
  return {.rate = rate};
}

}  // namespace

Gemma4ImageProcessor::Gemma4ImageProcessor(const Checkpoint& checkpoint, Patches patches,
                                           const Section& section) {
  const Config c = processor_config(checkpoint, section.name);
  patch_ = c.integer_or("patch_size", 16, 1, 1024);
  pooling_ = c.integer_or("pooling_kernel_size", 3, 1, 64);
  if (patches == Patches::merged) patch_ *= std::exchange(pooling_, 1);
  budget_ = c.integer_or("max_soft_tokens", section.budget);
  if (std::ranges::find(kBudgets, budget_) == std::end(kBudgets)) {
    fail(c.what(), ": max_soft_tokens ", budget_, " is none of 70, 140, 280, 560, 1120");
  }
  filter_ = filter_of(c);
  const double factor =
      c.boolean_or("do_rescale", true) ? c.number_or("rescale_factor", 1.0 / 255) : 1;
  const bool normal = c.boolean_or("do_normalize", section.normalize);
  const auto mean = colours(c, "image_mean", 0), deviation = colours(c, "image_std", 1);
  for (size_t colour = 0; colour < 3; ++colour) {
    for (size_t level = 0; level < 256; ++level) {
      float value = static_cast<float>(static_cast<double>(level) * factor);
      if (normal) value = (value - mean[colour]) / deviation[colour];
      values_[colour][level] = value;
    }
  }
}

std::pair<int64_t, int64_t> Gemma4ImageProcessor::fitted(int64_t height, int64_t width,
                                                         int64_t patches) const {
  const int64_t most = patches * patch_ * patch_, side = pooling_ * patch_;
  const double factor = std::sqrt(static_cast<double>(most) / static_cast<double>(height * width));
  const auto multiple = [&](int64_t length) {
    const double ideal = factor * static_cast<double>(length);
    return static_cast<int64_t>(std::floor(ideal / static_cast<double>(side))) * side;
  };
  // A side that comes to nothing becomes one multiple, and the other what the shape then says.
  const auto longest = [&](int64_t a, int64_t b) {
    return std::min(a / b * side, patches / (pooling_ * pooling_) * side);
  };
  int64_t h = multiple(height), w = multiple(width);
  if (h == 0 && w > 0) {
    h = side;
    w = longest(width, height);
  } else if (w == 0 && h > 0) {
    w = side;
    h = longest(height, width);
  }
  if (h * w == 0 || h * w > most) {
    fail("prepare: an image of ", width, " x ", height, " pixels does not fit into ", patches,
         " patches of ", patch_, " x ", patch_);
  }
  return {h, w};
}

/// [patches, patch * patch * 3], row by row, each row, column, colour.
Tensor Gemma4ImageProcessor::patches(const Tensor& image) const {
  const int64_t height = image.size(0), width = image.size(1), line = patch_ * 3;
  Tensor out = Tensor::empty({height / patch_ * (width / patch_), patch_ * line});
  const uint8_t* from = image.data<uint8_t>();
  auto* to = out.data<float>();
  for (int64_t y = 0; y < height; ++y) {
    const int64_t first = y / patch_ * (width / patch_), inside = y % patch_ * line;
    for (int64_t x = 0; x < width / patch_; ++x) {
      float* place = to + (first + x) * patch_ * line + inside;
      for (int64_t i = 0; i < line; i += 3, from += 3, place += 3) {
        for (size_t c = 0; c < 3; ++c) place[c] = values_[c][from[c]];
      }
    }
  }
  return out;
}

ImageInput Gemma4ImageProcessor::operator()(const Tensor& image, int64_t budget) const {
  if (budget == 0) budget = budget_;
  if (std::ranges::find(kBudgets, budget) == std::end(kBudgets)) {
    fail("image: a budget of ", budget, " soft tokens is unknown; known are 70, 140, 280, 560, ",
         "1120");
  }
  if (image.dtype() != DType::u8 || image.dim() != 3 || image.size(2) != 3 || image.numel() == 0) {
    fail("prepare: the image is ", image, "; it needs u8 [height, width, 3]");
  }
  int64_t height = image.size(0), width = image.size(1);
  const int64_t side = pooling_ * patch_, most = budget * pooling_ * pooling_;
  Tensor fit = image.contiguous();
  if (!filter_.empty()) {
    std::tie(height, width) = fitted(height, width, most);
    fit = resize_image(fit, height, width, filter_);
  } else if (height % side != 0 || width % side != 0 || height * width > most * patch_ * patch_) {
    fail("prepare: the processor does not resize, and the image of ", width, " x ", height,
         " pixels is no multiple of ", side, " within ", budget, " soft tokens");
  }
  const int64_t columns = width / patch_, count = height / patch_ * columns;
  Tensor positions = Tensor::empty({count, 2}, DType::i32);
  auto* at = positions.data<int32_t>();
  for (int64_t i = 0; i < count; ++i) {
    at[2 * i] = static_cast<int32_t>(i % columns);
    at[2 * i + 1] = static_cast<int32_t>(i / columns);
  }
  return {patches(fit), positions, count / (pooling_ * pooling_)};
}

Gemma4ImageEncoder::Gemma4ImageEncoder(const Checkpoint& checkpoint,
                                       Gemma4ImageProcessor::Patches patches)
    : images_(checkpoint, patches, Gemma4ImageProcessor::kImages),
      frames_(checkpoint, patches, Gemma4ImageProcessor::kFrames),
      sampling_(sampling_of(processor_config(checkpoint, Gemma4ImageProcessor::kFrames.name))) {}

std::vector<int64_t> Gemma4ImageEncoder::budgets() const {
  return {std::begin(kBudgets), std::end(kBudgets)};
}

void check_patches(const ImageInput& input, int64_t features, int64_t places) {
  const Tensor &pixels = input.pixels, &at = input.positions;
  if (pixels.dtype() != DType::f32 || pixels.dim() != 2 || pixels.size(1) != features ||
      pixels.size(0) == 0 || at.dtype() != DType::i32 || at.dim() != 2 ||
      at.size(0) != pixels.size(0) || at.size(1) != 2) {
    fail("encode: the patches are ", pixels, " at ", at, "; they need f32 [patches, ", features,
         "] at i32 [patches, 2]");
  }
  const Tensor all = at.contiguous();
  for (const int32_t place : std::span(all.data<int32_t>(), static_cast<size_t>(all.numel()))) {
    if (place < 0 || place >= places) {
      fail("encode: a patch at ", place, " is outside the ", places, " places that are known");
    }
  }
}

}  // namespace tallow
