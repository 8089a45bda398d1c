// What a convolution does around its products: the gathering of pixels into lanes, and bias,
// residual and activation. Compiled for each instruction set.
#include "backend/cpu/conv/kernels.h"
#include "backend/cpu/isa/conv_tile.h"
#include "backend/cpu/isa/depthwise.h"
#include "backend/cpu/isa/winograd.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

#if TALLOW_ISA_LEVEL >= 2

constexpr int64_t kAheadLanes = 8 * kGroup;  // rows are too short for the hardware to foresee

TALLOW_INLINE __m512 gather_run(__m512 lanes, const float* image, const Run& run, int64_t step) {
  const __mmask16 mask = static_cast<__mmask16>(run.lanes);
  const float* p = image + run.offset;
  _mm_prefetch(p + kAheadLanes * step, _MM_HINT_T0);
  if (step == 2) _mm_prefetch(p + kAheadLanes * step + 16, _MM_HINT_T0);
  if (step == 1) return _mm512_mask_loadu_ps(lanes, mask, p);
  if (step == 2) {
    if (run.lanes == 0xffff) {  // the last element may end the tensor
      return evens(_mm512_loadu_ps(p), _mm512_maskz_loadu_ps(0x7fff, p + 16), kEach);
    }
    const uint32_t wide = _pdep_u32(run.lanes, 0x55555555u);
    const __m512 low = _mm512_maskz_loadu_ps(static_cast<__mmask16>(wide), p);
    const __m512 high = _mm512_maskz_loadu_ps(static_cast<__mmask16>(wide >> 16), p + 16);
    const __m512i even =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    return _mm512_mask_blend_ps(mask, lanes, _mm512_permutex2var_ps(low, even, high));
  }
  const __m512i index =
      _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                         _mm512_set1_epi32(static_cast<int>(step)));
  return _mm512_mask_i32gather_ps(lanes, mask, index, p, 4);
}

template <int kStep>
void gather_by(const GatherCall& call) {
  const int64_t step = kStep ? kStep : call.step;
  const float* image = call.image;
  for (int64_t c = 0; c < call.channels; ++c, image += call.channel_stride) {
    const int32_t* first = call.first;
    float* group = call.target + c * call.taps * call.width;
    for (int64_t g = 0; g < call.groups; ++g) {
      for (int64_t t = 0; t < call.taps; ++t) {
        __m512 lanes = _mm512_setzero_ps();
        for (int32_t r = first[t]; r < first[t + 1]; ++r) {
          lanes = gather_run(lanes, image, call.runs[r], step);
        }
        _mm512_storeu_ps(group + t * call.width, lanes);
      }
      first += call.taps_of_group, group += call.group_stride;
    }
  }
}

void gather(const GatherCall& call) {
  if (call.step == 1) return gather_by<1>(call);
  if (call.step == 2) return gather_by<2>(call);
  gather_by<0>(call);
}

#else

TALLOW_INLINE void gather_run(float* target, const float* image, const Run& run, int64_t step) {
  const float* p = image + run.offset;
  if (run.lanes == 0xffff && step == 1) {
    for (int i = 0; i < kGroup; i += kLanes) store(target + i, load(p + i));
    return;
  }
  for (uint32_t lanes = run.lanes; lanes; lanes &= lanes - 1) {
    const int i = __builtin_ctz(lanes);
    target[i] = p[i * step];
  }
}

void gather(const GatherCall& call) {
  const float* image = call.image;
  for (int64_t c = 0; c < call.channels; ++c, image += call.channel_stride) {
    const int32_t* first = call.first;
    float* group = call.target + c * call.taps * call.width;
    for (int64_t g = 0; g < call.groups; ++g) {
      for (int64_t t = 0; t < call.taps; ++t) {
        for (int i = 0; i < kGroup; i += kLanes) store(group + t * call.width + i, Floats{});
        for (int32_t r = first[t]; r < first[t + 1]; ++r) {
          gather_run(group + t * call.width, image, call.runs[r], call.step);
        }
      }
      first += call.taps_of_group, group += call.group_stride;
    }
  }
}

#endif

template <int kStep>
void copy_by(const float* row, int64_t width, int64_t first, int64_t step, float* target,
             int64_t length) {
  if (kStep) step = kStep;
  int64_t begin = first < 0 ? (-first + step - 1) / step : 0;
  int64_t end = width > first ? (width - first + step - 1) / step : 0;
  begin = begin < length ? begin : length, end = end < length ? end : length;
  int64_t i = 0;
  for (; i < begin; ++i) target[i] = 0;
  if constexpr (kStep != 0) {
    const int64_t last = (width - first) / kStep - kLanes;  // whose vectors read inside only
    for (; i + kLanes <= end && i <= last; i += kLanes) {
      store(target + i, load_every<kStep>(row + first + i * kStep));
    }
  }
  for (; i < end; ++i) target[i] = row[first + i * step];
  for (; i < length; ++i) target[i] = 0;
}

void copy_every(const float* row, int64_t width, int64_t first, int64_t step, float* target,
                int64_t length) {
  if (step == 1) return copy_by<1>(row, width, first, step, target, length);
  if (step == 2) return copy_by<2>(row, width, first, step, target, length);
  copy_by<0>(row, width, first, step, target, length);
}

template <ConvActivation kActivation>
void finish_as(const FinishCall& call) {
  for (int64_t r = 0; r < call.rows; ++r) {
    float* c = call.c + r * call.stride;
    const float* from = call.from + r * call.from_stride;
    const float* more = call.residual ? call.residual + r * call.residual_stride : nullptr;
    const Floats bias = splat(call.bias ? call.bias[r] : 0.f);
    int64_t i = 0;
    for (; i + kLanes <= call.columns; i += kLanes) {
      Floats v = load(from + i) + bias;
      if (more) v += load(more + i);
      store(c + i, activate<kActivation>(v));
    }
    if (i == call.columns) continue;
    const int64_t rest = call.columns - i;
    Floats v = load_first(from + i, rest) + bias;
    if (more) v += load_first(more + i, rest);
    store_first(c + i, activate<kActivation>(v), rest);
  }
}

// Steps that can be undone, so that no single change is missed; two sums in 64 lanes each.
void fingerprint(const uint32_t* words, int64_t count, Fingerprint& result) {
  constexpr int kWidth = Fingerprint::kLanes;
  uint32_t a[kWidth], b[kWidth];
  for (int i = 0; i < kWidth; ++i) a[i] = static_cast<uint32_t>(i), b[i] = ~a[i];
  const auto add = [&](int i, uint32_t word) __attribute__((always_inline)) {
    a[i] = (a[i] ^ word) * 0x9e3779b1u;
    a[i] ^= a[i] >> 15;
    b[i] = (b[i] + word) * 0x85ebca77u;
    b[i] ^= b[i] >> 13;
  };
  int64_t at = 0;
  for (; at + kWidth <= count; at += kWidth) {
#pragma GCC ivdep
    for (int i = 0; i < kWidth; ++i) add(i, words[at + i]);
  }
  for (int i = 0; at + i < count; ++i) add(i, words[at + i]);
  for (int i = 0; i < kWidth; ++i) result.a[i] = a[i], result.b[i] = b[i];
}

void finish(const FinishCall& call) {
  switch (call.activation) {
    case ConvActivation::none: return finish_as<ConvActivation::none>(call);
    case ConvActivation::relu: return finish_as<ConvActivation::relu>(call);
    case ConvActivation::silu: return finish_as<ConvActivation::silu>(call);
  }
}

}  // namespace

constinit const ConvKernels conv_kernels = [] {
  ConvKernels kernels{};
  kernels.rows = kTileRows, kernels.groups = kTileGroups;
  fill_tiles<false>(kernels.tile);
  fill_tiles<true>(kernels.listed_tile);
  kernels.gather = gather, kernels.finish = finish;
  kernels.copy_every = copy_every;
  kernels.depthwise = depthwise;
  kernels.fingerprint = fingerprint;
  kernels.winograd_input = winograd_input, kernels.winograd_output = winograd_output;
  kernels.winograd_weight = winograd_weight;
  return kernels;
}();

}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
