// Unigram: expectation maximization over substrings, pruned round by round (Kudo, "Subword
// Regularization", 2018), with the seeds, steps and limits of the trainer of `tokenizers`.
#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <unordered_map>

#include "core/utf8.h"
#include "tallow/error.h"
#include "tallow/parallel.h"
#include "text/tokenizer/train/lattice.h"
#include "text/tokenizer/train/seeds.h"
#include "text/tokenizer/train/train.h"

namespace tallow::text {
namespace {

double digamma(double x) {
  double result = 0;
  for (; x < 7; x += 1) result -= 1 / x;
  x -= 0.5;
  const double xx = 1 / x, xx2 = xx * xx, xx4 = xx2 * xx2;
  return result + std::log(x) + (1.0 / 24) * xx2 - (7.0 / 960) * xx4 + (31.0 / 8064) * xx4 * xx2 -
         (127.0 / 30720) * xx4 * xx4;
}

class UnigramTraining {
 public:
  UnigramTraining(const CountedWords& words, const TokenizerTraining& options)
      : words_(words), options_(options), size_(options.vocab_size.value_or(8000)), text_(words) {}

  TrainedModel run() {
    const std::set<char32_t> required = required_characters();
    if (required.size() > static_cast<size_t>(size_)) {
      fail("training: vocab_size ", size_, " cannot hold the ", required.size(),
           " characters of the text");
    }
    pieces_ = seed_pieces(text_, words_, options_.max_piece_length);
    const auto goal = static_cast<size_t>(size_ * 11 / 10);
    const double rounds = std::log(static_cast<double>(pieces_.size()) /
                                   static_cast<double>(std::max<size_t>(goal, 1))) /
                          -std::log(options_.shrinking_factor);
    const auto expected_rounds = static_cast<size_t>(std::clamp(rounds, 0.0, 1e6)) + 1;
    for (size_t round = 0;; ++round) {
      report(options_, "pruning pieces", round, std::max(expected_rounds, round + 1));
      for (int64_t i = 0; i < options_.n_sub_iterations; ++i) improve();
      if (pieces_.size() <= goal) break;
      const size_t before = pieces_.size();
      prune(goal);
      if (pieces_.size() == before) break;
    }
    return finish(required);
  }

 private:
  std::set<char32_t> required_characters() const {
    std::set<char32_t> characters;
    for (size_t i = 0; i < text_.words(); ++i) {
      for (size_t k = text_.begin[i]; k < text_.end(i); ++k) {
        characters.insert(text_.characters[k]);
      }
    }
    for (const char32_t c : first_characters(options_.initial_alphabet)) characters.insert(c);
    return characters;
  }

  /// A round of EM. Pieces that are hardly expected are dropped.
  void improve() {
    constexpr double kLeast = 0.5;
    const std::vector<double> expected = Lattice(text_, words_, pieces_).expected(surprise_);
    std::vector<uint32_t> kept{0};
    double sum = 0;
    for (uint32_t id = 1; id < pieces_.size(); ++id) {
      if (expected[id] < kLeast) continue;
      kept.push_back(id);
      sum += expected[id];
    }
    const double whole = digamma(sum);
    for (const uint32_t id : kept) {
      if (id) pieces_.score[id] = digamma(expected[id]) - whole;
    }
    if (kept.size() < pieces_.size()) pieces_.keep(kept);
  }

  /// What becomes of a piece in pruning: kept, dropped, or kept if its loss is large enough.
  struct Fate {
    enum class Kind : uint8_t { dropped, kept, candidate } kind = Kind::dropped;
    double loss = 0;
  };

  /// Drops the pieces without which the text is hardly less likely, down to `goal` or to the share
  /// that a round keeps.
  void prune(size_t goal) {
    const Lattice lattice(text_, words_, pieces_);
    const std::vector<double> frequency = lattice.frequencies();
    double sum = 0, all = 0;
    for (const double f : frequency) sum += f;
    for (const CountedWord& word : words_) all += static_cast<double>(word.count);
    std::vector<Fate> fates(pieces_.size());
    constexpr int64_t kGrain = 256;
    parallel_for(
        static_cast<int64_t>(pieces_.size()), kGrain, [&](int64_t begin, int64_t end, int) {
          std::vector<uint32_t> path;
          for (auto id = static_cast<uint32_t>(std::max<int64_t>(begin, 1)); id < end; ++id) {
            fates[id] = fate(lattice, id, frequency, sum, all, path);
          }
        });
    std::vector<uint32_t> kept{0}, candidates;
    for (uint32_t id = 1; id < fates.size(); ++id) {
      if (fates[id].kind == Fate::Kind::kept) kept.push_back(id);
      if (fates[id].kind == Fate::Kind::candidate) candidates.push_back(id);
    }
    std::stable_sort(candidates.begin(), candidates.end(),
                     [&](uint32_t a, uint32_t b) { return fates[a].loss > fates[b].loss; });
    const auto share =
        static_cast<size_t>(static_cast<double>(pieces_.size()) * options_.shrinking_factor);
    const size_t most = std::max(goal, share);
    for (const uint32_t id : candidates) {
      if (kept.size() == most) break;
      kept.push_back(id);
    }
    pieces_.keep(kept);
  }

  /// The loss assumes that the piece is replaced by the best way to cover its text without it. As in
  /// SentencePiece and `tokenizers`, all pieces are counted where those of that way are meant.
  Fate fate(const Lattice& lattice, uint32_t id, const std::vector<double>& frequency, double sum,
            double all, std::vector<uint32_t>& path) const {
    if (pieces_.text[id].length == 1) return {Fate::Kind::kept, 0};
    if (frequency[id] == 0) return {};
    if (lattice.best_without(id, path) > pieces_.score[id]) return {Fate::Kind::kept, 0};
    const double here = frequency[id];
    const double log_sum = std::log(sum + here * static_cast<double>(pieces_.size() - 1));
    double without = 0;
    for (const uint32_t other : path) without += std::log(frequency[other] + here) - log_sum;
    return {Fate::Kind::candidate, here / all * (std::log(here) - std::log(sum) - without)};
  }

  struct Scored {
    std::string text;
    double score;
  };

  /// The required characters and the first of the pieces, as many as there may be; as in
  /// `tokenizers` all of them where the characters alone are as many.
  std::vector<Scored> final_pieces(const std::set<char32_t>& required, size_t limit) const {
    constexpr double kStep = 0.0001;
    double lowest = std::numeric_limits<double>::infinity();
    std::unordered_map<char32_t, double> characters;
    for (size_t id = 1; id < pieces_.size(); ++id) {
      lowest = std::min(lowest, pieces_.score[id]);
      const Substring piece = pieces_.text[id];
      if (piece.length == 1) characters[text_.characters[piece.at]] = pieces_.score[id];
    }
    if (!std::isfinite(lowest)) lowest = 0;
    std::vector<Scored> result;
    double above = 0;
    for (const char32_t c : required) {
      std::string text;
      append_utf8(text, c);
      const auto known = characters.find(c);
      const bool is_known = known != characters.end();
      result.push_back({std::move(text), is_known ? known->second : lowest + above});
      if (!is_known) above += kStep;
    }
    for (size_t id = 1; id < pieces_.size(); ++id) {
      if (pieces_.text[id].length == 1) continue;  // it is required
      std::string text = utf8_of(text_, pieces_.text[id]);
      if (text == "<UNK>") continue;  // what `tokenizers` calls its unknown piece
      result.push_back({std::move(text), pieces_.score[id]});
      if (result.size() == limit) break;
    }
    std::stable_sort(result.begin(), result.end(),
                     [](const Scored& a, const Scored& b) { return a.score > b.score; });
    return result;
  }

  TrainedModel finish(const std::set<char32_t>& required) const {
    const auto& special = options_.special_tokens;
    const std::string unk_token = options_.unk_token.value_or("");
    const auto unk = std::find_if(special.begin(), special.end(), [&](const AddedToken& token) {
      return token.content == unk_token;
    });
    const bool has_unk = !unk_token.empty();
    const bool add_unk = has_unk && unk == special.end();
    const size_t first = special.size() + size_t{add_unk};
    if (first > static_cast<size_t>(size_)) {
      fail("training: vocab_size ", size_, " cannot hold the ", first, " special tokens");
    }
    TrainedModel model;
    if (add_unk) model.tokens.push_back(unk_token);
    for (const AddedToken& token : special) model.tokens.push_back(token.content);
    model.scores.assign(model.tokens.size(), 0.0);
    for (Scored& piece : final_pieces(required, static_cast<size_t>(size_) - first)) {
      model.tokens.push_back(std::move(piece.text));
      model.scores.push_back(piece.score);
    }
    Json id;
    if (has_unk) id = add_unk ? int64_t{0} : static_cast<int64_t>(unk - special.begin());
    model.options = Json::Object{{"unk_id", std::move(id)}, {"byte_fallback", false}};
    return model;
  }

  const CountedWords& words_;
  const TokenizerTraining& options_;
  const int64_t size_;
  const FlatText text_;
  Pieces pieces_;
  double surprise_ = 2;  // of a character, in nats
};

}  // namespace

TrainedModel train_unigram(const CountedWords& words, const TokenizerTraining& options) {
  return UnigramTraining(words, options).run();
}

}  // namespace tallow::text
