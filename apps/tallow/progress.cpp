// The spinner: one thread, which is not made unless there is a terminal to draw on.
#include "progress.h"

#include <chrono>
#include <csignal>
#include <cstdio>

#include <unistd.h>

namespace tallow::app {

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
  using namespace std::chrono_literals;
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

}  // namespace tallow::app
