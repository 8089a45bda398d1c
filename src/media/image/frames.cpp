// The frames of animations and folders.
#include <algorithm>
#include <filesystem>

#include "formats/file_bytes.h"
#include "media/image/formats.h"
#include "tallow/error.h"
#include "tallow/image.h"

namespace tallow {
namespace {

constexpr double kFolderRate = 24;  // images of a folder per second: transformers' guess

/// Which frames of `count` are taken.
std::vector<int64_t> chosen(int64_t count, int64_t most) {
  std::vector<int64_t> result;
  const int64_t wanted = std::min(count, most);
  for (int64_t i = 0; i < wanted; ++i) result.push_back(i * count / wanted);
  return result;
}

Frames of_folder(const std::string& path, int64_t most) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    if (entry.is_regular_file()) names.push_back(entry.path().string());
  }
  if (names.empty()) fail(path, ": holds no images");
  std::ranges::sort(names);
  Frames result;
  for (const int64_t i : chosen(std::ssize(names), most)) {
    result.frames.push_back(read_image(names[static_cast<size_t>(i)]));
    result.seconds.push_back(static_cast<double>(i) / kFolderRate);
  }
  return result;
}

using EachFrame = int64_t (*)(image::Bytes, const std::string&, const image::OnFrame&);

Frames of_animation(image::Bytes bytes, const std::string& path, int64_t most, EachFrame each) {
  const std::vector<int64_t> wanted = chosen(each(bytes, path, {}), most);
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

Frames read_frames(const std::string& path, int64_t most) {
  if (most < 1) fail("read_frames: ", most, " frames are too few");
  if (is_folder(path)) return of_folder(path, most);
  const auto file = FileBytes::open(path);
  const std::string_view text = as_text(file->bytes());
  if (text.starts_with("GIF8")) {
    return of_animation(file->bytes(), path, most, image::each_gif_frame);
  }
  if (text.starts_with("RIFF") && text.substr(0, 12).ends_with("WEBP")) {
    return of_animation(file->bytes(), path, most, image::each_webp_frame);
  }
  return {{decode_image(text, path)}, {0.0}};
}

}  // namespace tallow
