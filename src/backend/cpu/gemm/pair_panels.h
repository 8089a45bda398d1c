// Panels of bf16 weights in pairs, as AMX tiles and dot products of bf16 take them.
#pragma once

#include "backend/cpu/gemm/driver.h"

namespace tallow::cpu {

inline constexpr int64_t kPairUnit = 2 * kGroup;  // columns of a panel

struct PairPanel {
  const uint32_t* first;
  const uint32_t* second;  // the next 16 columns, where there are any
};

/// The panel of a unit of up to 32 columns: in place where the weight is in pairs, else made in
/// `target`, which has room for two groups. A weight in_columns must have been through zip_panels.
PairPanel pair_panel(const GemmKernels& kernels, const Unit& unit, int64_t k0, int64_t k1,
                     uint32_t* target);

/// Whether a weight is rows whose columns are without gaps in memory.
inline bool in_columns(const Weight& w) { return w.form == Weight::Form::rows && w.k_stride != 1; }

/// All panels of a unit at once from a weight in_columns, some rows at a time, so that whole runs
/// of memory are read.
void zip_panels(const Unit& unit, int64_t k0, int64_t k1, uint32_t* target);

/// 16 columns of a weight of rows, k0 to k1, in pairs; zeros up to `words`.
void interleave_pairs(const GemmKernels& kernels, const Weight& w, int64_t n0, int64_t k0,
                      int64_t k1, int64_t words, uint32_t* target);

/// The 32-bit words of k elements in pairs.
inline int64_t pair_words(int64_t k) { return round_up(k, 32) / 2; }

}  // namespace tallow::cpu
