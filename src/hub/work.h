// Threads that work for one call, what they report, and how the caller stops them.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tallow/hub.h"

namespace tallow::hub {

/// A file's progress, written by the threads that fetch it.
struct FileState {
  std::string name;
  std::atomic<int64_t> done{0}, total{-1};
  std::atomic<bool> finished{false};
};

/// What a call has in hand.
class Board {
 public:
  std::atomic<bool> cancel{false};
  std::atomic<int64_t> received{0};
  FileState& add(const std::string& name, int64_t total);
  /// What is being waited for, or nothing.
  void set_note(const std::string& note);
  Progress report();

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<FileState>> files_;
  std::string note_;
};

/// Runs `work` on a thread of its own while this one reports, until it is done or the callback
/// stops it. Rethrows what either throws.
void run_reporting(Board& board, const OnProgress& on_progress, const std::function<void()>& work);

/// Runs `work` on `count` threads. The first error cancels the rest and is thrown.
void run_threads(size_t count, std::atomic<bool>& cancel, const std::function<void()>& work);

}  // namespace tallow::hub
