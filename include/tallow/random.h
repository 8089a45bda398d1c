// Random numbers that are the same on every machine: Philox4x32-10, a counter-based generator.
// Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

namespace tallow {

/// The block of four words at `counter` of the stream that `key` names. Stateless: any element of
/// a tensor can be drawn without drawing the ones before it.
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

/// Where the random ops draw from: a seed and how many blocks were drawn since. A cheap handle;
/// copies share the state. Safe to use from several threads.
class Generator {
 public:
  explicit Generator(uint64_t seed = kDefaultSeed);
  static constexpr uint64_t kDefaultSeed = 67280421310721;

  /// Starts again from a seed.
  Generator& manual_seed(uint64_t seed);
  /// Starts again from a seed that the system drew, and returns it.
  uint64_t seed();
  uint64_t initial_seed() const;

  /// The seed and the position, 16 bytes.
  std::string get_state() const;
  /// Throws Error for bytes that get_state() did not make.
  void set_state(const std::string& state);

  /// Takes `blocks` blocks from the stream, and says where they begin.
  struct Blocks {
    uint64_t seed, first;
  };
  Blocks take(uint64_t blocks);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// The generator that random ops use when they are given none.
Generator& default_generator();
/// Seeds the global generator, and returns it.
Generator& manual_seed(uint64_t seed);

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
