// A spinner on standard error for work that takes longer than half a second.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
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

}  // namespace tallow::app
