// Progress bars for people.
#include <chrono>
#include <cstdio>
#include <memory>

#include <sys/ioctl.h>
#include <unistd.h>

#include "hub/environment.h"
#include "tallow/hub.h"

namespace tallow::hub {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMostFiles = 6;  // lines beside the total

std::string size_text(int64_t bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 999.5 && unit < 4; ++unit) value /= 1000;
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 || value >= 100 ? "%.0f %s" : "%.1f %s", value,
                kUnits[unit]);
  return text;
}

std::string time_text(double seconds) {
  const auto s = static_cast<long long>(seconds);
  char text[32];
  if (s >= 3600) {
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
  } else {
    std::snprintf(text, sizeof text, "%lld:%02lld", s / 60, s % 60);
  }
  return text;
}

/// A column of fixed width: cut at the front, where names are alike.
std::string column(const std::string& text, size_t width) {
  if (text.size() > width) return "..." + text.substr(text.size() - width + 3);
  return text + std::string(width - text.size(), ' ');
}

class Bars {
 public:
  bool show(const Progress& progress) {
    const Clock::time_point now = Clock::now();
    winsize size{};
    if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) columns_ = size.ws_col;
    std::string text = erase();
    if (progress.ended) {
      std::fwrite(text.data(), 1, text.size(), stderr);
      return true;
    }
    int64_t done = 0, total = 0;
    size_t finished = 0;
    for (const auto& file : progress.files) {
      done += file.done;
      total += std::max(file.total, file.done);
      finished += file.finished;
    }
    measure(done, now);
    for (const auto& file : progress.files) {
      if (!file.finished && lines_ < kMostFiles) add(text, line(file.name, file.done, file.total));
    }
    if (!progress.files.empty()) {
      std::string sum = line(str(finished, " of ", progress.files.size(), " files"), done, total);
      if (rate_ > 0) sum += "  " + size_text(static_cast<int64_t>(rate_)) + "/s";
      if (rate_ > 0 && total > done) {
        sum += "  " + time_text(static_cast<double>(total - done) / rate_) + " left";
      }
      add(text, sum);
    }
    if (!progress.note.empty()) add(text, progress.note);
    std::fwrite(text.data(), 1, text.size(), stderr);
    return true;
  }

 private:
  /// Takes back what was drawn last.
  std::string erase() {
    std::string text = lines_ > 0 ? str("\x1b[", lines_, "A\r\x1b[J") : std::string();
    lines_ = 0;
    return text;
  }

  void add(std::string& text, const std::string& drawn) {
    text += drawn.substr(0, columns_ - 1) + "\n";
    ++lines_;
  }

  std::string line(const std::string& name, int64_t done, int64_t total) const {
    constexpr size_t kBar = 20;
    const size_t width = std::min(size_t{40}, columns_ > 60 ? columns_ - 50 : size_t{12});
    const double share =
        total > 0 ? static_cast<double>(done) / static_cast<double>(total) : total == 0;
    const auto filled = static_cast<size_t>(share * kBar);
    std::string bar(std::min(filled, kBar), '#');
    bar.resize(kBar, '-');
    std::string out = column(name, width) + " " + bar + " " + size_text(done);
    return total > 0 ? out + " of " + size_text(total) : out;
  }

  /// Bytes a second, over the last seconds.
  void measure(int64_t done, Clock::time_point now) {
    const double seconds = std::chrono::duration<double>(now - measured_).count();
    if (measured_ == Clock::time_point()) {
      measured_ = now;
      measured_done_ = done;
    } else if (seconds >= 0.5) {
      const double rate = static_cast<double>(done - measured_done_) / seconds;
      rate_ = rate_ > 0 ? 0.7 * rate_ + 0.3 * rate : rate;
      measured_ = now;
      measured_done_ = done;
    }
  }

  size_t lines_ = 0, columns_ = 80;
  Clock::time_point measured_;
  int64_t measured_done_ = 0;
  double rate_ = 0;
};

}  // namespace

OnProgress terminal_progress() {
  if (!isatty(STDERR_FILENO) || environment_switch("HF_HUB_DISABLE_PROGRESS_BARS")) return {};
  return
      [bars = std::make_shared<Bars>()](const Progress& progress) { return bars->show(progress); };
}

}  // namespace tallow::hub
