// Channels and rates as models take them.
#include "tallow/audio.h"
#include "tallow/ops.h"

namespace tallow {

Tensor to_mono(const Audio& audio, int64_t rate) {
  const Tensor mono = audio.samples.size(0) == 1 ? audio.samples[0] : mean(audio.samples, {0});
  return resample_audio(mono, audio.rate, rate);
}

}  // namespace tallow
