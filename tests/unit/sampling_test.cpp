// Philox against its published vectors, the edges of sampling, and stop strings in a stream.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "tallow/error.h"
#include "tallow/random.h"
#include "tallow/sampling.h"

using tallow::Error;
using tallow::Sampler;
using tallow::SamplingOptions;
using tallow::StopStrings;

TEST_CASE("philox: the known answers of Random123's kat_vectors") {
  using Block = std::array<uint32_t, 4>;
  CHECK(tallow::philox({0, 0, 0, 0}, {0, 0}) ==
        Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(
      tallow::philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
      Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(
      tallow::philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
      Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("philox: a sequence walks the blocks of its seed and stream") {
  tallow::Philox sequence(0x1234567890, 7);
  for (uint32_t block = 0; block < 3; ++block) {
    const auto expected = tallow::philox({block, 0, 7, 0}, {0x34567890, 0x12});
    for (const uint32_t word : expected) CHECK(sequence.next() == word);
  }
  for (int i = 0; i < 1000; ++i) {
    const double u = sequence.uniform();
    CHECK(u >= 0);
    CHECK(u < 1);
  }
}

static int32_t draw(SamplingOptions options, const std::vector<float>& logits) {
  return Sampler(std::move(options), static_cast<int64_t>(logits.size())).sample(logits);
}

TEST_CASE("sampling: temperature 0 takes the greatest, of equals the first") {
  SamplingOptions greedy;
  greedy.temperature = 0;
  for (const size_t n : {1, 2, 15, 16, 17, 63, 64, 65, 1000}) {
    for (size_t at = 0; at < n; ++at) {
      std::vector<float> logits(n, -1.0f);
      logits[at] = 2;
      logits[n - 1] = 2;
      REQUIRE(draw(greedy, logits) == static_cast<int32_t>(at));
    }
  }
}

TEST_CASE("sampling: logits that allow no choice are refused") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float nan = std::nanf("");
  CHECK_THROWS_WITH_AS(draw({}, {1, nan, 2}),
                       "logits: one is NaN; the model's weights or its input are damaged", Error);
  CHECK_THROWS_AS(draw({}, {-kInfinity, -kInfinity}), Error);
  CHECK_THROWS_AS(draw({}, {0, kInfinity}), Error);
  CHECK(draw({}, {-kInfinity, 0, -kInfinity}) == 1);
  Sampler sampler({}, 3);
  CHECK_THROWS_AS(sampler.sample(std::vector<float>(4)), Error);
  CHECK_THROWS_AS(sampler.accept(3), Error);
  CHECK_THROWS_AS(sampler.accept(-1), Error);
}

TEST_CASE("sampling: options outside their range are named") {
  const auto error = [](auto change) {
    SamplingOptions options;
    change(options);
    try {
      Sampler(options, 10);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  CHECK(error([](auto& o) { o.temperature = -1; }) ==
        "sampling: temperature is -1; it must be 0 or more");
  CHECK(error([](auto& o) { o.temperature = std::nanf(""); }) != "");
  CHECK(error([](auto& o) { o.top_p = 1.5f; }) ==
        "sampling: top_p is 1.5; it must be between 0 and 1");
  CHECK(error([](auto& o) { o.top_k = -1; }) != "");
  CHECK(error([](auto& o) { o.min_p = -0.1f; }) != "");
  CHECK(error([](auto& o) { o.typical_p = 0; }) != "");
  CHECK(error([](auto& o) { o.repetition_penalty = 0; }) != "");
  CHECK(error([](auto& o) { o.logit_bias = {{10, 1.0f}}; }) != "");
  CHECK(error([](auto&) {}) == "");
}

TEST_CASE("sampling: extreme temperatures and filters keep the greatest") {
  std::vector<float> logits(500);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = std::sin(static_cast<float>(i));
  SamplingOptions greedy;
  greedy.temperature = 0;
  const int32_t best = draw(greedy, logits);
  SamplingOptions options;
  options.temperature = 1e-40f;
  CHECK(draw(options, logits) == best);
  options = {};
  options.top_k = 1;
  CHECK(draw(options, logits) == best);
  options = {};
  options.top_p = 0;
  CHECK(draw(options, logits) == best);
  options = {};
  options.min_p = 1;
  CHECK(draw(options, logits) == best);
  CHECK(draw({}, {3e38f, -3e38f}) == 0);
}

TEST_CASE("sampling: penalties follow the history, and reset forgets it") {
  SamplingOptions options;
  options.temperature = 0;
  options.frequency_penalty = 0.6f;
  Sampler sampler(options, 3);
  const std::vector<float> logits{1.0f, 0.0f, -5.0f};
  sampler.accept_prompt(std::vector<int32_t>{0, 0, 0});
  CHECK(sampler.sample(logits) == 0);
  sampler.accept(0);
  CHECK(sampler.sample(logits) == 0);
  sampler.accept(0);
  CHECK(sampler.sample(logits) == 1);
  sampler.reset();
  CHECK(sampler.sample(logits) == 0);
}

static std::string stream(const std::vector<std::string>& stops, const std::string& text,
                          size_t piece, std::string* matched = nullptr) {
  StopStrings filter(stops);
  std::string out;
  for (size_t i = 0; i < text.size(); i += piece) out += filter.next(text.substr(i, piece));
  out += filter.finish();
  if (matched) *matched = filter.matched().value_or("");
  return out;
}

TEST_CASE("stop strings: the text before the first stop, however it is cut into pieces") {
  struct Case {
    std::vector<std::string> stops;
    std::string text, before, stop;
  };
  const Case cases[] = {
      {{"</s>"}, "hello</s>world", "hello", "</s>"},
      {{"</s>"}, "hello</s", "hello</s", ""},
      {{"aab"}, "aaaaab", "aaa", "aab"},
      {{"abcd", "bc"}, "xabcd", "xa", "bc"},
      {{"bc", "abc"}, "xabc", "x", "abc"},
      {{"abab"}, "aababab", "a", "abab"},
      {{}, "anything", "anything", ""},
      {{"é"}, "è", "è", ""},
      {{"x"}, "", "", ""},
      {{"\n\n"}, "a\nb\n\nc", "a\nb", "\n\n"},
  };
  for (const Case& c : cases) {
    for (size_t piece = 1; piece <= 7; ++piece) {
      CAPTURE(c.text);
      CAPTURE(piece);
      std::string matched;
      CHECK(stream(c.stops, c.text, piece, &matched) == c.before);
      CHECK(matched == c.stop);
    }
  }
  CHECK_THROWS_AS(StopStrings({""}), Error);
}

TEST_CASE("stop strings: only what may begin a stop is held back") {
  StopStrings filter({"<end>"});
  CHECK(filter.next("ab<e") == "ab");
  CHECK(filter.next("x") == "<ex");
  CHECK(filter.next("<en") == "");
  CHECK(filter.next("d>tail") == "");
  CHECK(filter.matched() == "<end>");
  CHECK(filter.next("more") == "");
  CHECK(filter.finish() == "");
}
