// The ways in which pieces cover the words: how often each piece is expected, and the best way.
#pragma once

#include <cstdint>
#include <vector>

#include "text/tokenizer/train/seeds.h"
#include "text/tokenizer/train/train.h"

namespace tallow::text {

/// Looks at a text through pieces as they are now. A character that is no piece can be covered by
/// the unknown one, id 0.
class Lattice {
 public:
  Lattice(const FlatText& text, const CountedWords& words, const Pieces& pieces);

  /// How often each piece is expected to be used: the E step. Takes and updates the mean surprise
  /// of a character, by which products are kept near one.
  std::vector<double> expected(double& surprise);
  /// How often each piece is used when every word is covered in its best way.
  std::vector<double> frequencies() const;
  /// The best way to cover the text of a piece without it. Returns its score.
  double best_without(uint32_t piece, std::vector<uint32_t>& path) const;

 private:
  struct Work;
  template <class F>
  std::vector<double> over_words(const F& f) const;
  bool expect(size_t word, Work& work, std::vector<double>& sums) const;
  void expect_by_logs(size_t word, Work& work, std::vector<double>& sums) const;
  double best(size_t begin, size_t end, uint32_t without, Work& work,
              std::vector<uint32_t>& path) const;
  /// Calls f(id, length) for what can cover the text from `at` on, the unknown piece included.
  template <class F>
  void for_each_here(size_t at, const F& f) const;

  const FlatText& text_;
  const CountedWords& words_;
  const Pieces& pieces_;
  double unknown_score_ = 0;
  struct Weight {
    double share;
    uint32_t length;
  };
  std::vector<Weight> weights_;  // by id, of the E step
  double surprise_ = 0;          // that is in them
};

}  // namespace tallow::text
