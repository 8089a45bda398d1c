// A spinner and a bar on standard error, for work that takes longer than half a second.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace tallow::app {

/// Shows `label` after half a second if standard error is a terminal, until stopped or destroyed.
class Progress {
 public:
  explicit Progress(std::string label);
  ~Progress() { stop(); }
  /// Clears the line.
  void stop();

 private:
  void spin();
  std::string label_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool done_ = false;
  std::thread thread_;
};

/// A bar with the share that is done, bytes, speed and the time left, drawn ten times a second at
/// most if standard error is a terminal. Safe to update from several threads.
class Bar {
 public:
  explicit Bar(std::string label);
  ~Bar() { stop(); }
  /// `what` is in work; `done` of `total` bytes are.
  void update(std::string_view what, int64_t done, int64_t total);
  /// The same of things that are no bytes.
  void count(std::string_view what, int64_t done, int64_t total);
  /// Clears the line.
  void stop();

 private:
  void draw(std::string_view what, int64_t done, int64_t total, bool bytes);
  using Clock = std::chrono::steady_clock;
  std::string label_;
  bool shown_ = false;
  const bool terminal_;
  std::mutex mutex_;
  Clock::time_point start_ = Clock::now(), next_;
};

/// "512 B", "1.5 MB", "7.81 GB": decimal, as disks and networks count.
std::string human_bytes(int64_t bytes);

}  // namespace tallow::app
