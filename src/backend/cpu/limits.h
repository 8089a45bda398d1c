// Loops that do nothing but one kind of arithmetic (or reading), one set per instruction set.
#pragma once

#include <cstdint>

#include "backend/cpu/kernels.h"

namespace tallow::cpu {

/// Runs `rounds` rounds and returns the operations done, a multiply-add counting as two.
using SpinFn = double (*)(int64_t rounds);

double spin_f32_portable(int64_t rounds);
double spin_f32_avx2(int64_t rounds);
double spin_int8_avx2(int64_t rounds);
double spin_f32_avx512(int64_t rounds);
double spin_int8_vnni(int64_t rounds);
double spin_bf16_bf16(int64_t rounds);
double spin_bf16_amx(int64_t rounds);
double spin_int8_amx(int64_t rounds);

/// The exclusive or of all 64-bit words, so that every byte is read.
uint64_t read_portable(const void* data, int64_t bytes);
uint64_t read_avx2(const void* data, int64_t bytes);
uint64_t read_avx512(const void* data, int64_t bytes);

/// Binds the profiler to the measured limits.
void bind_limits();

}  // namespace tallow::cpu
