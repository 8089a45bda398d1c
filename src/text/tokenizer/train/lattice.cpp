// Sums and maxima over the lattice of each word.
#include "text/tokenizer/train/lattice.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tallow/parallel.h"

namespace tallow::text {
namespace {

// Words are summed in that many groups, whatever the number of threads, so that results agree.
constexpr size_t kGroups = 16;
constexpr double kUnknownPenalty = 10;

double log_of_sum(double x, double y) {
  const double low = std::min(x, y), high = std::max(x, y);
  return low == -std::numeric_limits<double>::infinity() ? high
                                                         : high + std::log1p(std::exp(low - high));
}

}  // namespace

/// The buffers of one group.
struct Lattice::Work {
  std::vector<double> forward, backward;
  std::vector<uint32_t> from;  // the piece by which a place is reached best
  double surprise = 0;         // of the words so far
};

Lattice::Lattice(const FlatText& text, const CountedWords& words, const Pieces& pieces)
    : text_(text), words_(words), pieces_(pieces) {
  double lowest = std::numeric_limits<double>::infinity();
  for (const double score : pieces.score) {
    if (score < lowest) lowest = score;
  }
  if (std::isfinite(lowest)) unknown_score_ = lowest - kUnknownPenalty;
}

template <class F>
void Lattice::for_each_here(size_t at, const F& f) const {
  const uint32_t begin = pieces_.first[at], end = pieces_.first[at + 1];
  if (begin == end || pieces_.text[pieces_.here[begin]].length != 1) f(0u, 1u);
  for (uint32_t k = begin; k < end; ++k) {
    const uint32_t id = pieces_.here[k];
    f(id, pieces_.text[id].length);
  }
}

template <class F>
std::vector<double> Lattice::over_words(const F& f) const {
  const size_t n = text_.words();
  std::vector<std::vector<double>> sums(kGroups);
  parallel_for(kGroups, 1, [&](int64_t first, int64_t last, int) {
    for (auto g = static_cast<size_t>(first); g < static_cast<size_t>(last); ++g) {
      sums[g].assign(pieces_.size(), 0);
      Work work;
      f(n * g / kGroups, n * (g + 1) / kGroups, g, work, sums[g]);
    }
  });
  for (size_t g = 1; g < kGroups; ++g) {
    for (size_t i = 0; i < sums[0].size(); ++i) sums[0][i] += sums[g][i];
  }
  return std::move(sums[0]);
}

std::vector<double> Lattice::expected(double& surprise) {
  surprise_ = surprise;
  weights_.resize(pieces_.size());
  weights_[0] = {std::exp(unknown_score_ + surprise), 1};
  for (size_t id = 1; id < pieces_.size(); ++id) {
    const uint32_t length = pieces_.text[id].length;
    weights_[id] = {std::exp(pieces_.score[id] + surprise * length), length};
  }
  std::vector<double> surprises(kGroups);
  auto sums = over_words(
      [&](size_t begin, size_t end, size_t group, Work& work, std::vector<double>& into) {
        for (size_t word = begin; word < end; ++word) {
          if (!expect(word, work, into)) expect_by_logs(word, work, into);
        }
        surprises[group] = work.surprise;
      });
  const size_t characters = text_.characters.size() - text_.words();
  double total = 0;
  for (const double s : surprises) total += s;
  // What the products leave of a word is how much more surprising it was than foreseen.
  if (characters > 0) surprise += total / static_cast<double>(characters);
  return sums;
}

/// The products of shares. False where they leave the range in which they are exact.
bool Lattice::expect(size_t word, Work& work, std::vector<double>& sums) const {
  constexpr double kSmallest = 1e-100, kLargest = 1e100;
  const double unknown = weights_[0].share;
  const size_t begin = text_.begin[word];
  const size_t n = text_.end(word) - begin;
  std::vector<double>&forward = work.forward, &backward = work.backward;
  forward.assign(n + 1, 0);
  forward[0] = 1;
  for (size_t i = 0; i < n; ++i) {
    const double so_far = forward[i];
    if (!(so_far > kSmallest && so_far < kLargest)) return false;
    const uint32_t first = pieces_.first[begin + i], last = pieces_.first[begin + i + 1];
    if (first == last || weights_[pieces_.here[first]].length != 1) {
      forward[i + 1] += so_far * unknown;
    }
    for (uint32_t k = first; k < last; ++k) {
      const Weight& weight = weights_[pieces_.here[k]];
      forward[i + weight.length] += so_far * weight.share;
    }
  }
  const double whole = forward[n];
  if (!(whole > kSmallest && whole < kLargest)) return false;
  work.surprise -= std::log(whole);
  const double times = static_cast<double>(words_[word].count) / whole;
  backward.assign(n + 1, 0);
  backward[n] = 1;
  for (size_t i = n; i-- > 0;) {
    const uint32_t first = pieces_.first[begin + i], last = pieces_.first[begin + i + 1];
    const double scale = times * forward[i];
    double rest = 0;
    if (first == last || weights_[pieces_.here[first]].length != 1) {
      rest = unknown * backward[i + 1];
    }
    for (uint32_t k = first; k < last; ++k) {
      const uint32_t id = pieces_.here[k];
      const double there = weights_[id].share * backward[i + weights_[id].length];
      rest += there;
      sums[id] += scale * there;
    }
    backward[i] = rest;
  }
  return true;
}

/// The same by sums of logarithms, which hold for words of any length.
void Lattice::expect_by_logs(size_t word, Work& work, std::vector<double>& sums) const {
  constexpr double kNever = -std::numeric_limits<double>::infinity();
  const size_t begin = text_.begin[word];
  const size_t n = text_.end(word) - begin;
  std::vector<double>&forward = work.forward, &backward = work.backward;
  const auto score = [&](uint32_t id) { return id == 0 ? unknown_score_ : pieces_.score[id]; };
  forward.assign(n + 1, kNever);
  forward[0] = 0;
  for (size_t i = 0; i < n; ++i) {
    for_each_here(begin + i, [&](uint32_t id, uint32_t length) {
      double& there = forward[i + length];
      there = log_of_sum(there, forward[i] + score(id));
    });
  }
  work.surprise -= forward[n] + surprise_ * static_cast<double>(n);
  backward.assign(n + 1, kNever);
  backward[n] = 0;
  const auto times = static_cast<double>(words_[word].count);
  for (size_t i = n; i-- > 0;) {
    for_each_here(begin + i, [&](uint32_t id, uint32_t length) {
      const double there = score(id) + backward[i + length];
      backward[i] = log_of_sum(backward[i], there);
      sums[id] += times * std::exp(forward[i] + there - forward[n]);
    });
  }
}

/// The score of the best way to cover [begin, end); of two the one whose last pieces are longer.
double Lattice::best(size_t begin, size_t end, uint32_t without, Work& work,
                     std::vector<uint32_t>& path) const {
  constexpr uint32_t kNone = UINT32_MAX;
  const size_t n = end - begin;
  work.forward.resize(n + 1);
  work.from.assign(n + 1, kNone);
  work.forward[0] = 0;
  for (size_t i = 0; i < n; ++i) {
    for_each_here(begin + i, [&](uint32_t id, uint32_t length) {
      if (i + length > n || (id == without && length == n)) return;
      const double score = work.forward[i] + (id == 0 ? unknown_score_ : pieces_.score[id]);
      if (work.from[i + length] != kNone && !(score > work.forward[i + length])) return;
      work.forward[i + length] = score;
      work.from[i + length] = id;
    });
  }
  path.clear();
  for (size_t at = n; at > 0;) {
    const uint32_t id = work.from[at];
    path.push_back(id);
    at -= id == 0 ? 1 : pieces_.text[id].length;
  }
  return work.forward[n];
}

std::vector<double> Lattice::frequencies() const {
  return over_words([&](size_t begin, size_t end, size_t, Work& work, std::vector<double>& into) {
    std::vector<uint32_t> path;
    for (size_t word = begin; word < end; ++word) {
      best(text_.begin[word], text_.end(word), UINT32_MAX, work, path);
      for (const uint32_t id : path) into[id] += static_cast<double>(words_[word].count);
    }
  });
}

double Lattice::best_without(uint32_t piece, std::vector<uint32_t>& path) const {
  thread_local Work work;
  const Substring text = pieces_.text[piece];
  return best(text.at, text.at + text.length, piece, work, path);
}

}  // namespace tallow::text
