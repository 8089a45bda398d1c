// Fourier transforms (as torch.fft), windows and filter banks.
#pragma once

#include "tallow/op.h"
#include "tallow/tensor.h"

namespace tallow::fft {}  // namespace tallow::fft
