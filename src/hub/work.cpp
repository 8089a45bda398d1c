// Starting threads, and passing their errors on.
#include "hub/work.h"

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <thread>

#include "hub/names.h"

namespace tallow::hub {
namespace {

using namespace std::chrono_literals;

/// Signals belong to the threads of the program, whose reads they interrupt.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

bool is_cancellation(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const HubError& e) {
    return e.kind() == HubError::Kind::cancelled;
  } catch (...) {
    return false;
  }
}

/// The error that others followed from.
class FirstError {
 public:
  void note(std::exception_ptr error) {
    const std::lock_guard lock(mutex_);
    if (!error_ || (is_cancellation(error_) && !is_cancellation(error))) error_ = error;
  }
  void rethrow() {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr error_;
};

}  // namespace

FileState& Board::add(const std::string& name, int64_t total) {
  auto file = std::make_unique<FileState>();
  file->name = name;
  file->total = total;
  const std::lock_guard lock(mutex_);
  return *files_.emplace_back(std::move(file));
}

void Board::set_note(const std::string& note) {
  const std::lock_guard lock(mutex_);
  note_ = note;
}

Progress Board::report() {
  const std::lock_guard lock(mutex_);
  Progress progress;
  for (const auto& f : files_) progress.files.push_back({f->name, f->done, f->total, f->finished});
  progress.note = note_;
  return progress;
}

void run_reporting(Board& board, const OnProgress& on_progress, const std::function<void()>& work) {
  std::mutex mutex;
  std::condition_variable finished;
  bool done = false;
  std::exception_ptr error, stopped;
  std::thread thread;
  {
    const SignalsBlocked blocked;
    thread = std::thread([&] {
      try {
        work();
      } catch (...) {
        error = std::current_exception();
      }
      const std::lock_guard lock(mutex);
      done = true;
      finished.notify_one();
    });
  }
  for (bool ended = false; !ended;) {
    {
      std::unique_lock lock(mutex);
      ended = finished.wait_for(lock, 100ms, [&] { return done; });
    }
    if (!on_progress || stopped) continue;
    try {
      Progress progress = board.report();
      progress.ended = ended;
      if (!on_progress(progress)) board.cancel = true;
    } catch (...) {
      stopped = std::current_exception();
      board.cancel = true;
    }
  }
  thread.join();
  if (stopped) std::rethrow_exception(stopped);
  if (error) std::rethrow_exception(error);
}

void run_threads(size_t count, std::atomic<bool>& cancel, const std::function<void()>& work) {
  FirstError first;
  const auto guarded = [&] {
    try {
      work();
    } catch (...) {
      first.note(std::current_exception());
      cancel = true;
    }
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < count; ++i) threads.emplace_back(guarded);
  guarded();
  for (std::thread& thread : threads) thread.join();
  first.rethrow();
}

}  // namespace tallow::hub
