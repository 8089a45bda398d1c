// The frames of animations and folders.
#include <algorithm>
#include <filesystem>

#include "formats/file_bytes.h"
#include "media/frames.h"
#include "media/image/formats.h"
#include "media/video/ffmpeg.h"
#include "tallow/error.h"
#include "tallow/image.h"

namespace tallow {
namespace {

Frames of_folder(const std::string& path, int64_t most) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    if (entry.is_regular_file()) names.push_back(entry.path().string());
  }
  if (names.empty()) fail(path, ": holds no images");
  std::ranges::sort(names);
  Frames result;
  for (const int64_t i : evenly(std::ssize(names), most)) {
    result.frames.push_back(read_image(names[static_cast<size_t>(i)]));
    result.seconds.push_back(static_cast<double>(i) / kFrameRate);
  }
  return result;
}

using EachFrame = int64_t (*)(image::Bytes, const std::string&, const image::OnFrame&);

Frames of_animation(image::Bytes bytes, const std::string& path, int64_t most, EachFrame each) {
  const std::vector<int64_t> wanted = evenly(each(bytes, path, {}), most);
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
  if (video::is_video(text.substr(0, 256))) return video::read(path, most);
  return {{decode_image(text, path)}, {0.0}};
}

}  // namespace tallow
