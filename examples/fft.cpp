// The frequency of a tone, by its Fourier transform.
#include <cstdio>
#include <numbers>

#include <tallow/ops.h>

using namespace tallow;

int main() {
  constexpr double kRate = 8000, kTone = 440;  // Hz
  constexpr int64_t kSamples = 4000;           // half a second: 2 Hz from one bin to the next
  const Tensor time = arange(kSamples, DType::f64) / kRate;
  const Tensor signal = sin(time * (2 * std::numbers::pi * kTone));
  const Tensor power = abs(fft::rfft(signal * hann_window(kSamples, true, DType::f64)));
  const double bin = argmax(power).item();
  std::printf("%g Hz\n", bin * kRate / kSamples);

  const Tensor back = fft::irfft(fft::rfft(signal));
  std::printf("the way back differs by %s 1e-12\n",
              amax(abs(back - signal)).item() < 1e-12 ? "less than" : "more than");
}
