// TALLOW_PROFILE=1: time, calls, bytes and FLOPs per op, printed at exit, and a Chrome trace.
#pragma once

#include <cstdint>

#include "tallow/op.h"

namespace tallow::profiler {

/// Read once from TALLOW_PROFILE.
bool enabled();
/// Nanoseconds of a steady clock.
int64_t now();
/// Notes one call that ran from `begin` to `end`.
void record(const char* op, int64_t begin, int64_t end, const Work& work);

/// The machine's limits, which the CPU backend measures: bytes/s and FLOP/s.
struct Limits {
  double bytes_per_s, flops_per_s;
};
/// Called when the table is printed; null leaves that column out.
void set_limits(Limits (*measure)());

}  // namespace tallow::profiler
