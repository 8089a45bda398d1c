// Collects calls in memory; at exit prints a table to stderr and writes the trace, which
// chrome://tracing and Perfetto open, to the file that TALLOW_PROFILE_TRACE names.
#include "core/profiler.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace tallow::profiler {
namespace {

constexpr size_t kMaxEvents = 1 << 20;

struct Event {
  const char* op;
  int64_t begin, end;
};
struct Total {
  int64_t calls = 0, ns = 0;
  double bytes = 0, flops = 0;
};

struct State {
  std::mutex mutex;
  std::vector<Event> events;
  std::map<std::string, Total> totals;
};
State& state() {
  static State* instance = new State;
  return *instance;
}

Limits (*measure_limits)() = nullptr;

const char* trace_path() {
  const char* path = std::getenv("TALLOW_PROFILE_TRACE");
  return path && *path ? path : "tallow-trace.json";
}

void print_table() {
  std::vector<std::pair<std::string, Total>> rows(state().totals.begin(), state().totals.end());
  std::sort(rows.begin(), rows.end(),
            [](const auto& a, const auto& b) { return a.second.ns > b.second.ns; });
  int64_t all = 0;
  for (const auto& row : rows) all += row.second.ns;
  Limits limits = measure_limits ? measure_limits() : Limits{0, 0};
  std::fprintf(stderr, "\n%-20s %9s %11s %6s %9s %9s %9s\n", "op", "calls", "ms", "time", "GB/s",
               "GFLOP/s", "of limit");
  for (const auto& [name, t] : rows) {
    double seconds = static_cast<double>(std::max<int64_t>(t.ns, 1)) * 1e-9;
    std::fprintf(stderr, "%-20s %9lld %11.3f %5.1f%% %9.2f %9.2f", name.c_str(),
                 static_cast<long long>(t.calls), seconds * 1e3,
                 100.0 * static_cast<double>(t.ns) / static_cast<double>(std::max<int64_t>(all, 1)),
                 t.bytes / seconds * 1e-9, t.flops / seconds * 1e-9);
    if (limits.bytes_per_s > 0) {
      // The roofline: the time that the limits allow, over the time that it took.
      double least = std::max(t.bytes / limits.bytes_per_s, t.flops / limits.flops_per_s);
      std::fprintf(stderr, " %8.1f%%", 100 * least / seconds);
    }
    std::fputc('\n', stderr);
  }
  if (limits.bytes_per_s > 0) {
    std::fprintf(stderr, "limits measured here: %.1f GB/s read, %.0f GFLOP/s\n",
                 limits.bytes_per_s * 1e-9, limits.flops_per_s * 1e-9);
  }
}

void write_trace() {
  std::FILE* file = std::fopen(trace_path(), "w");
  if (!file) {
    std::fprintf(stderr, "tallow: the trace could not be written to %s\n", trace_path());
    return;
  }
  std::fputs("{\"traceEvents\":[", file);
  const char* separator = "\n";
  for (const Event& e : state().events) {
    std::fprintf(file,
                 "%s{\"name\":\"%s\",\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":%.3f,\"dur\":%.3f}",
                 separator, e.op, static_cast<double>(e.begin) * 1e-3,
                 static_cast<double>(e.end - e.begin) * 1e-3);
    separator = ",\n";
  }
  std::fputs("\n]}\n", file);
  bool written = std::fclose(file) == 0;
  std::fprintf(stderr, written ? "trace: %s\n" : "tallow: %s is incomplete\n", trace_path());
}

void finish() {
  std::lock_guard lock(state().mutex);
  if (state().totals.empty()) return;
  print_table();
  write_trace();
}

bool start() {
  const char* text = std::getenv("TALLOW_PROFILE");
  if (!text || !*text || std::string(text) == "0") return false;
  std::atexit(finish);
  return true;
}

}  // namespace

bool enabled() {
  static const bool on = start();
  return on;
}

int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void record(const char* op, int64_t begin, int64_t end, const Work& work) {
  std::lock_guard lock(state().mutex);
  Total& total = state().totals[op];
  ++total.calls;
  total.ns += end - begin;
  total.bytes += work.bytes;
  total.flops += work.flops;
  if (state().events.size() < kMaxEvents) state().events.push_back({op, begin, end});
}

void set_limits(Limits (*measure)()) { measure_limits = measure; }

}  // namespace tallow::profiler
