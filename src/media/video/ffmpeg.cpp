// FFmpeg runs as a program of its own: ffprobe counts frames, ffmpeg writes the wanted ones as PPM
// images into a pipe. No shell is between, so that names of files stay names.
#include "media/video/ffmpeg.h"

#include <charconv>
#include <cstring>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "media/frames.h"
#include "tallow/error.h"
#include "tallow/json.h"

extern char** environ;

namespace tallow::video {
namespace {

constexpr size_t kMostText = 1 << 20;     // of ffprobe
constexpr int64_t kMostPixels = 1 << 26;  // of a frame

/// A running program whose output is read. It ends with this object.
class Program {
 public:
  Program(const std::vector<std::string>& words, const std::string& what) : what_(what) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) fail(what, ": no pipe: ", std::strerror(errno));
    out_ = ends[0];
    std::vector<char*> arguments;
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    ::posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    const int error =
        ::posix_spawnp(&pid_, arguments[0], &actions, nullptr, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    if (error != 0) {
      ::close(out_);
      fail(what, ": is a video, and ", words[0], " could not be run (", std::strerror(error),
           "); install FFmpeg, or give a folder of the frames");
    }
  }
  ~Program() {
    ::close(out_);
    int status;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// What it writes, up to `most` bytes.
  std::string read_all(size_t most) {
    std::string text;
    char buffer[1 << 16];
    for (;;) {
      const ssize_t count = ::read(out_, buffer, sizeof buffer);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return text;
      if (text.size() + static_cast<size_t>(count) > most) {
        fail(what_, ": FFmpeg says more than ", static_cast<int64_t>(most), " bytes of it");
      }
      text.append(buffer, static_cast<size_t>(count));
    }
  }

 private:
  std::string what_;
  pid_t pid_ = 0;
  int out_ = -1;
};

/// "30000/1001" or "25"; 0 where there is no number.
double rate_of(const std::string& text) {
  const size_t slash = text.find('/');
  const auto number = [](std::string_view digits) {
    double value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return value;
  };
  const double over = number(std::string_view(text).substr(0, slash));
  const double under = slash == text.npos ? 1 : number(std::string_view(text).substr(slash + 1));
  return under > 0 ? over / under : 0;
}

struct Stream {
  int64_t frames = 0;
  double rate = 0;  // per second
};

Stream probe(const std::string& path) {
  Program program(
      {"ffprobe", "-v", "error", "-select_streams", "v:0", "-count_packets", "-show_entries",
       "stream=nb_read_packets,avg_frame_rate", "-of", "json", "file:" + path},
      path);
  const std::string said = program.read_all(kMostText);
  const Json answer = said.empty() ? Json() : Json::parse(said, path + ": ffprobe");
  const Json* streams = answer.find("streams");
  if (!streams || !streams->is_array() || streams->items().empty()) {
    fail(path, ": FFmpeg finds no video in it");
  }
  const auto text = [&](const char* key) {
    const Json* value = streams->items()[0].find(key);
    return value && value->is_string() ? value->string() : std::string();
  };
  Stream stream{.rate = rate_of(text("avg_frame_rate"))};
  const std::string count = text("nb_read_packets");
  std::from_chars(count.data(), count.data() + count.size(), stream.frames);
  if (stream.frames < 1) fail(path, ": has no frames");
  if (!(stream.rate > 0)) stream.rate = kFrameRate;
  return stream;
}

/// The images "P6\nWIDTH HEIGHT\n255\n" and their pixels, one after another.
class PpmReader {
 public:
  PpmReader(std::string_view bytes, const std::string& what) : bytes_(bytes), what_(what) {}

  bool done() const { return at_ == bytes_.size(); }
  Tensor next() {
    if (word() != "P6") refuse();
    const int64_t width = number(), height = number();
    if (number() != 255 || width < 1 || height < 1 || width > kMostPixels / height) refuse();
    const auto size = static_cast<size_t>(3 * width * height);
    if (bytes_.size() - at_ < size) refuse();
    const Tensor pixels = Tensor::empty({height, width, 3}, DType::u8);
    std::memcpy(pixels.raw(), bytes_.data() + at_, size);
    at_ += size;
    return pixels;
  }

 private:
  [[noreturn]] void refuse() const { fail(what_, ": FFmpeg could not decode all of its frames"); }
  std::string_view word() {
    const size_t end = bytes_.find_first_of(" \n", at_);
    if (end == bytes_.npos) refuse();
    const std::string_view result = bytes_.substr(at_, end - at_);
    at_ = end + 1;
    return result;
  }
  int64_t number() {
    const std::string_view digits = word();
    int64_t value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return value;
  }

  std::string_view bytes_;
  std::string what_;
  size_t at_ = 0;
};

}  // namespace

bool is_video(std::string_view begin) {
  const auto has = [&](size_t at, std::string_view what) {
    return begin.size() > at && begin.substr(at).starts_with(what);
  };
  using namespace std::string_view_literals;
  return has(4, "ftyp") || has(4, "moov") || has(4, "mdat") || has(0, "\x1a\x45\xdf\xa3"sv) ||
         (has(0, "RIFF") && has(8, "AVI ")) || has(0, "OggS") || has(0, "FLV") ||
         has(0, "\0\0\1\xba"sv) || has(0, "\0\0\1\xb3"sv) || (has(0, "G") && has(188, "G"));
}

Frames read(const std::string& path, const FrameSampling& sampling) {
  const Stream stream = probe(path);
  const std::vector<int64_t> wanted = sampled(stream.frames, stream.rate, sampling, path);
  std::string select = "select=";
  for (const int64_t i : wanted) select += str(select.back() == '=' ? "" : "+", "eq(n\\,", i, ")");
  Program program({"ffmpeg", "-v", "error", "-nostdin", "-i", "file:" + path, "-map", "0:v:0",
                   "-vf", select, "-vsync", "0", "-f", "image2pipe", "-c:v", "ppm", "-"},
                  path);
  const std::string bytes = program.read_all(static_cast<size_t>(kMostFrameBytes));
  PpmReader reader(bytes, path);
  Frames result;
  for (const int64_t i : wanted) {
    if (reader.done()) break;  // packets that held no frame
    result.frames.push_back(reader.next());
    result.seconds.push_back(static_cast<double>(i) / stream.rate);
  }
  if (result.frames.empty()) fail(path, ": FFmpeg could not decode its frames");
  return result;
}

}  // namespace tallow::video
