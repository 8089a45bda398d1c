// Random numbers that are the same on every machine: Philox4x32-10, a counter-based generator.
// Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once

#include <array>
#include <cstdint>

namespace tallow {

/// The block of four words at `counter` of the stream that `key` names. Stateless: any element of
/// a tensor can be drawn without drawing the ones before it.
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

/// A sequence of words of one seed and stream.
class Philox {
 public:
  explicit Philox(uint64_t seed, uint64_t stream = 0) : seed_(seed), stream_(stream) {}
  uint32_t next();
  /// Uniform in [0, 1), a multiple of 2^-53.
  double uniform();

 private:
  uint64_t seed_;
  uint64_t stream_;
  uint64_t block_ = 0;
  int left_ = 0;
  std::array<uint32_t, 4> words_{};
};

}  // namespace tallow
