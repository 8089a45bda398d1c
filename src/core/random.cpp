// Philox4x32-10, the counter-based random number generator, and the state that ops draw from.
#include "tallow/random.h"

#include <cstddef>
#include <cstring>
#include <mutex>
#include <random>

#include "tallow/error.h"

namespace tallow {

struct Generator::State {
  std::mutex mutex;
  uint64_t seed = 0, next = 0;
};

Generator::Generator(uint64_t seed) : state_(std::make_shared<State>()) { state_->seed = seed; }

Generator& Generator::manual_seed(uint64_t seed) {
  std::lock_guard lock(state_->mutex);
  state_->seed = seed;
  state_->next = 0;
  return *this;
}

uint64_t Generator::seed() {
  std::random_device device;
  const uint64_t drawn = static_cast<uint64_t>(device()) << 32 | device();
  manual_seed(drawn);
  return drawn;
}

uint64_t Generator::initial_seed() const {
  std::lock_guard lock(state_->mutex);
  return state_->seed;
}

std::string Generator::get_state() const {
  std::lock_guard lock(state_->mutex);
  const uint64_t words[] = {state_->seed, state_->next};
  return {reinterpret_cast<const char*>(words), sizeof words};
}

void Generator::set_state(const std::string& state) {
  uint64_t words[2];
  if (state.size() != sizeof words) {
    fail("set_state: a state has ", sizeof words, " bytes, not ", state.size());
  }
  std::memcpy(words, state.data(), sizeof words);
  std::lock_guard lock(state_->mutex);
  state_->seed = words[0];
  state_->next = words[1];
}

Generator::Blocks Generator::take(uint64_t blocks) {
  std::lock_guard lock(state_->mutex);
  const Blocks taken{state_->seed, state_->next};
  state_->next += blocks;
  return taken;
}

Generator& default_generator() {
  static Generator generator;
  return generator;
}

Generator& manual_seed(uint64_t seed) { return default_generator().manual_seed(seed); }

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> c, std::array<uint32_t, 2> key) {
  constexpr uint64_t kMultiplier0 = 0xD2511F53;
  constexpr uint64_t kMultiplier1 = 0xCD9E8D57;
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = kMultiplier0 * c[0];
    const uint64_t p1 = kMultiplier1 * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ key[0], static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ key[1], static_cast<uint32_t>(p0)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return c;
}

uint32_t Philox::next() {
  if (left_ == 0) {
    const auto low = [](uint64_t v) { return static_cast<uint32_t>(v); };
    const auto high = [](uint64_t v) { return static_cast<uint32_t>(v >> 32); };
    words_ =
        philox({low(block_), high(block_), low(stream_), high(stream_)}, {low(seed_), high(seed_)});
    ++block_;
    left_ = 4;
  }
  return words_[static_cast<size_t>(4 - left_--)];
}

double Philox::uniform() {
  const uint64_t high = next() >> 5;
  const uint64_t low = next() >> 6;
  return static_cast<double>((high << 26) | low) * 0x1p-53;
}

}  // namespace tallow
