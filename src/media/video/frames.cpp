// The frames of animations and folders.
#include <algorithm>
#include <cmath>
#include <filesystem>

#include "formats/file_bytes.h"
#include "media/frames.h"
#include "media/image/formats.h"
#include "media/video/ffmpeg.h"
#include "tallow/error.h"
#include "tallow/image.h"

namespace tallow {
namespace {

Frames of_folder(const std::string& path, const FrameSampling& sampling) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    if (entry.is_regular_file()) names.push_back(entry.path().string());
  }
  if (names.empty()) fail(path, ": holds no images");
  std::ranges::sort(names);
  Frames result;
  int64_t bytes = 0;
  for (const int64_t i : sampled(std::ssize(names), kFrameRate, sampling, path)) {
    result.frames.push_back(read_image(names[static_cast<size_t>(i)]));
    result.seconds.push_back(static_cast<double>(i) / kFrameRate);
    bytes += result.frames.back().nbytes();
    if (bytes > kMostFrameBytes) {
      fail(path, ": ", std::ssize(result.frames), " of its images are more than 4 GiB of pixels");
    }
  }
  return result;
}

using EachFrame = int64_t (*)(image::Bytes, const std::string&, const image::OnFrame&);

/// Frames a second between the first and the last. Animations count milliseconds.
double rate_of(image::Bytes bytes, const std::string& path, EachFrame each) {
  double last = 0;
  const int64_t count = each(bytes, path, [&](const Tensor&, double seconds) { last = seconds; });
  const double milliseconds = std::round(last * 1000);
  return milliseconds > 0 ? 1000 * static_cast<double>(count - 1) / milliseconds : kFrameRate;
}

Frames of_animation(image::Bytes bytes, const std::string& path, const FrameSampling& sampling,
                    EachFrame each) {
  const double rate = sampling.rate > 0 ? rate_of(bytes, path, each) : kFrameRate;
  const std::vector<int64_t> wanted = sampled(each(bytes, path, {}), rate, sampling, path);
  Frames result;
  int64_t index = 0;
  each(bytes, path, [&](const Tensor& pixels, double seconds) {
    if (!std::ranges::binary_search(wanted, index++)) return;
    image::check_size(pixels.size(0), pixels.size(1), bytes.size(), path, std::ssize(wanted));
    result.frames.push_back(pixels.clone());
    result.seconds.push_back(seconds);
  });
  return result;
}

}  // namespace

std::vector<int64_t> sampled(int64_t count, double rate, const FrameSampling& sampling,
                             const std::string& path) {
  constexpr int64_t kMost = 4096;
  int64_t wanted = sampling.most > 0 ? std::min(sampling.most, count) : count;
  if (sampling.rate > 0) {
    const double ideal = static_cast<double>(count) / rate * sampling.rate;
    wanted = static_cast<int64_t>(std::clamp(ideal, 1.0, static_cast<double>(count)));
  }
  if (wanted > kMost) {
    fail(path, ": ", wanted, " frames are to be seen; ", kMost, " are the most: give a number of ",
         "frames, or fewer a second");
  }
  std::vector<int64_t> result;
  for (int64_t i = 0; i < wanted; ++i) result.push_back(i * count / wanted);
  return result;
}

Frames read_frames(const std::string& path, const FrameSampling& sampling) {
  if (sampling.most < 0) fail("read_frames: ", sampling.most, " frames are too few");
  if (!(sampling.rate >= 0)) fail("read_frames: ", sampling.rate, " frames a second are too few");
  if (is_folder(path)) return of_folder(path, sampling);
  const auto file = FileBytes::open(path);
  const std::string_view text = as_text(file->bytes());
  if (text.starts_with("GIF8")) {
    return of_animation(file->bytes(), path, sampling, image::each_gif_frame);
  }
  if (text.starts_with("RIFF") && text.substr(0, 12).ends_with("WEBP")) {
    return of_animation(file->bytes(), path, sampling, image::each_webp_frame);
  }
  if (video::is_video(text.substr(0, 256))) return video::read(path, sampling);
  return {{decode_image(text, path)}, {0.0}};
}

}  // namespace tallow
