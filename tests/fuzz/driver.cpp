// Runs a fuzz target without libFuzzer: TARGET [SECONDS [FILE...]] replays the files and the
// target's seeds, and then mutates them for a bounded time. Built with the address sanitizer, it
// ends with a report at the first fault; an input that takes over a second is a fault too.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

#include "target.h"

namespace {

using Clock = std::chrono::steady_clock;
using Random = std::mt19937_64;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string read_file(const char* path) {
  std::string text;
  if (FILE* file = std::fopen(path, "rb")) {
    char part[4096];
    for (size_t n; (n = std::fread(part, 1, sizeof part, file)) > 0;) text.append(part, n);
    std::fclose(file);
  }
  return text;
}

size_t below(Random& random, size_t limit) { return limit == 0 ? 0 : random() % limit; }

/// Numbers at which sizes and offsets break.
uint64_t odd_number(Random& random) {
  constexpr uint64_t kNumbers[] = {
      0,          1,          0x7F,       0xFF, 0x7FFFFFFF, 0xFFFFFFFF, (1ull << 42) + 1,
      1ull << 62, ~0ull >> 1, 1ull << 63, ~0ull};
  return kNumbers[below(random, std::size(kNumbers))];
}

void mutate(std::string& s, const std::vector<std::string>& seeds, Random& random) {
  const size_t at = below(random, s.size() + 1);
  switch (below(random, 7)) {
    case 0:
      if (at < s.size()) s[at] = static_cast<char>(s[at] ^ (1 << below(random, 8)));
      break;
    case 1:
      if (at < s.size()) s[at] = static_cast<char>(random());
      break;
    case 2: {
      const uint64_t number = odd_number(random);
      const size_t width = size_t{1} << below(random, 4);
      if (at + width <= s.size()) std::memcpy(&s[at], &number, width);
      break;
    }
    case 3: s.erase(at, 1 + below(random, 16)); break;
    case 4: s.insert(at, s.substr(below(random, s.size() + 1), 1 + below(random, 32))); break;
    case 5: s.resize(at); break;
    default: {
      const std::string& other = seeds[below(random, seeds.size())];
      const size_t from = below(random, other.size() + 1);
      s.replace(at, below(random, 64), other.substr(from, below(random, 64)));
    }
  }
}

void run(const std::string& input) {
  constexpr double kLongest = 1;
  const auto start = Clock::now();
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
  if (seconds_since(start) > kLongest) {
    std::fprintf(stderr, "an input of %zu bytes took %.1f s\n", input.size(), seconds_since(start));
    std::abort();
  }
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 5;
  std::vector<std::string> seeds = fuzz_seeds();
  for (int i = 2; i < argc; ++i) seeds.push_back(read_file(argv[i]));
  for (const std::string& seed : seeds) run(seed);

  Random random(1);
  const auto start = Clock::now();
  int64_t count = 0;
  for (; seconds_since(start) < seconds; ++count) {
    std::string input = seeds[below(random, seeds.size())];
    for (size_t n = 1 + below(random, 8); n > 0; --n) mutate(input, seeds, random);
    run(input);
  }
  std::printf("%lld inputs, no fault\n", static_cast<long long>(count));
  return 0;
}
