// The spinner has a thread, which is not made unless there is a terminal to draw on; the bar is
// drawn by whoever updates it.
#include "progress.h"

#include <algorithm>
#include <csignal>
#include <cstdio>

#include <sys/ioctl.h>
#include <unistd.h>

#include "tallow/error.h"

namespace tallow::app {
namespace {

using namespace std::chrono_literals;

size_t terminal_width() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

std::string minutes(double seconds) {
  const auto whole = static_cast<int64_t>(seconds);
  char text[32];
  std::snprintf(text, sizeof text, "%d:%02d", static_cast<int>(std::min<int64_t>(whole / 60, 9999)),
                static_cast<int>(whole % 60));
  return text;
}

}  // namespace

std::string human_bytes(int64_t bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  auto value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 999.5 && unit < 6) value /= 1000, ++unit;
  char text[32];
  const int digits = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  std::snprintf(text, sizeof text, "%.*f %s", digits, value, kUnits[unit]);
  return text;
}

Progress::Progress(std::string label) : label_(std::move(label)) {
  if (!isatty(STDERR_FILENO)) return;
  // Signals belong to the main thread, whose reads they interrupt.
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  thread_ = std::thread([this] { spin(); });
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
}

void Progress::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    done_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Progress::spin() {
  std::unique_lock lock(mutex_);
  if (wake_.wait_for(lock, 500ms, [this] { return done_; })) return;
  const auto start = std::chrono::steady_clock::now() - 500ms;
  for (int step = 0; !done_; ++step) {
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::fprintf(stderr, "\r%c %s %.1f s", "|/-\\"[step % 4], label_.c_str(), seconds);
    wake_.wait_for(lock, 100ms, [this] { return done_; });
  }
  std::fprintf(stderr, "\r\x1b[K");
}

Bar::Bar(std::string label)
    : label_(std::move(label)), terminal_(isatty(STDERR_FILENO) != 0), next_(start_ + 500ms) {}

void Bar::update(std::string_view what, int64_t done, int64_t total) {
  draw(what, done, total, true);
}

void Bar::count(std::string_view what, int64_t done, int64_t total) {
  draw(what, done, total, false);
}

void Bar::draw(std::string_view what, int64_t done, int64_t total, bool bytes) {
  if (!terminal_) return;
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  if (now < next_) return;
  next_ = now + 100ms;
  shown_ = true;
  constexpr int kCells = 24;
  const double share = total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 0;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double rate = static_cast<double>(done) / seconds;
  std::string line = label_ + " [";
  for (int i = 0; i < kCells; ++i) line += i < static_cast<int>(share * kCells + 0.5) ? '#' : '.';
  line += str("] ", static_cast<int>(share * 100), "% ");
  if (bytes) {
    line += str(human_bytes(done), " of ", human_bytes(total), ", ",
                human_bytes(static_cast<int64_t>(rate)), "/s");
  } else {
    line += str(done, " of ", total);
  }
  if (bytes && rate > 0) line += ", " + minutes(static_cast<double>(total - done) / rate) + " left";
  line.append("  ").append(what);
  const size_t width = terminal_width() - 1;
  if (line.size() > width) line.resize(width);
  std::fprintf(stderr, "\r%s\x1b[K", line.c_str());
}

void Bar::stop() {
  const std::lock_guard lock(mutex_);
  if (shown_) std::fprintf(stderr, "\r\x1b[K");
  shown_ = false;
}

}  // namespace tallow::app
