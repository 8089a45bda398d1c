// The process's clock, memory, standard streams and signals.
#include "process.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tallow/error.h"

namespace tallow::app {
namespace {

using Clock = std::chrono::steady_clock;

// Zero-initialized: set by the constructor function below, before any dynamic initializer.
int64_t start_ns;

int64_t nanoseconds(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

__attribute__((constructor(101))) void note_start() {
  start_ns = nanoseconds(CLOCK_MONOTONIC) - nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
}

constexpr int kCaught[] = {SIGINT, SIGTERM, SIGHUP};
volatile std::sig_atomic_t interrupts, last_signal;

void on_signal(int signal) {
  last_signal = signal;
  interrupts = interrupts + 1;
  if (interrupts >= 2) {
    // The first one was not answered: the terminal is as it was, so just go.
    std::signal(signal, SIG_DFL);
    raise(signal);
  }
}

std::string read_all(int fd, const std::string& what) {
  constexpr size_t kLimit = size_t{1} << 30;
  std::string text;
  size_t used = 0;
  for (;;) {
    if (text.size() - used < 4096) text.resize(used * 2 + 65536);
    const ssize_t n = ::read(fd, text.data() + used, text.size() - used);
    if (n < 0 && errno == EINTR && !interrupted()) continue;
    if (n < 0) fail(what, ": cannot read: ", std::strerror(errno));
    if (n == 0) break;
    used += static_cast<size_t>(n);
    if (used > kLimit) fail(what, ": more than 1 GiB; give a smaller input");
  }
  text.resize(used);
  return text;
}

}  // namespace

Clock::time_point process_start() {
  return Clock::time_point(
      std::chrono::duration_cast<Clock::duration>(std::chrono::nanoseconds(start_ns)));
}

double milliseconds_since_start(Clock::time_point time) {
  return std::chrono::duration<double, std::milli>(time - process_start()).count();
}

int64_t peak_rss_bytes() {
  if (std::FILE* file = std::fopen("/proc/self/status", "r")) {
    char line[256];
    long long kib = 0;
    while (std::fgets(line, sizeof line, file)) {
      if (std::sscanf(line, "VmHWM: %lld kB", &kib) == 1) break;
    }
    std::fclose(file);
    if (kib > 0) return kib * 1024;
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

void write_stdout(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
    if (n >= 0) {
      text.remove_prefix(static_cast<size_t>(n));
    } else if (errno == EPIPE) {
      throw ClosedPipe();
    } else if (errno == EAGAIN) {
      pollfd ready{STDOUT_FILENO, POLLOUT, 0};
      ::poll(&ready, 1, 100);
    } else if (errno != EINTR) {
      fail("standard output: cannot write: ", std::strerror(errno));
    }
  }
}

std::string read_stdin() { return read_all(STDIN_FILENO, "standard input"); }

std::string read_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail(path, ": cannot open: ", std::strerror(errno));
  try {
    std::string text = read_all(fd, path);
    ::close(fd);
    return text;
  } catch (...) {
    ::close(fd);
    throw;
  }
}

void ignore_closed_pipes() { std::signal(SIGPIPE, SIG_IGN); }

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_signal;  // without SA_RESTART: a read of the terminal returns
  sigemptyset(&action.sa_mask);
  for (const int signal : kCaught) {
    struct sigaction old {};
    sigaction(signal, nullptr, &old);
    if (old.sa_handler != SIG_IGN) sigaction(signal, &action, nullptr);
  }
}

bool interrupted() { return interrupts != 0; }
bool termination_requested() { return interrupts != 0 && last_signal != SIGINT; }
void clear_interrupt() { interrupts = 0; }

bool wait_readable(int fd) {
  // Signals are let in by ppoll alone: one that comes just before it is not lost.
  sigset_t caught, before;
  sigemptyset(&caught);
  for (const int signal : kCaught) sigaddset(&caught, signal);
  pthread_sigmask(SIG_BLOCK, &caught, &before);
  bool ready = false;
  while (!ready && !interrupted()) {
    pollfd wanted{fd, POLLIN, 0};
    ready = ::ppoll(&wanted, 1, nullptr, &before) > 0;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return ready;
}

void die_of_interrupt() {
  const int signal = last_signal ? last_signal : SIGINT;
  std::signal(signal, SIG_DFL);
  raise(signal);
  std::_Exit(128 + signal);
}

}  // namespace tallow::app
