// Encodings: how the tokens of one or two sequences are cut, surrounded, filled up and described.
#include <algorithm>

#include "core/utf8.h"
#include "tallow/error.h"
#include "tallow/parallel.h"
#include "text/tokenizer/pipeline.h"
#include "text/tokenizer/unicode.h"

namespace tallow {
namespace detail {

/// A sequence that was encoded; its details are made when they are asked for.
class EncodedSequence {
 public:
  EncodedSequence(std::shared_ptr<const TokenizerPipeline> pipeline,
                  const std::vector<std::string_view>& texts, bool words, bool skip_special)
      : pipeline_(std::move(pipeline)),
        texts_(texts.begin(), texts.end()),
        words_(words),
        skip_special_(skip_special) {}

  void encode(std::vector<int32_t>& ids, TokenDetails* details) const {
    for (size_t i = 0; i < texts_.size(); ++i) {
      const int32_t word = words_ ? static_cast<int32_t>(i) : -1;
      pipeline_->encode(texts_[i], skip_special_, ids, details, word);
    }
  }
  const TokenDetails& details() const {
    std::call_once(once_, [&] {
      std::vector<int32_t> ids;
      encode(ids, &details_);
    });
    return details_;
  }

 private:
  std::shared_ptr<const TokenizerPipeline> pipeline_;
  std::vector<std::string> texts_;
  bool words_, skip_special_;
  mutable std::once_flag once_;
  mutable TokenDetails details_;
};

struct EncodingData {
  std::shared_ptr<const TokenizerPipeline> pipeline;
  std::vector<int32_t> ids;
  std::vector<text::Run> runs;
  std::shared_ptr<const EncodedSequence> sequences[2];
  std::vector<Encoding> overflowing;
  bool unsequenced = false;  ///< without a post-processor, all tokens are of the first sequence

  /// A value for each token: `of(run, i, at)` for the i-th token of a run, the one at `at` of all.
  template <class T, class F>
  std::vector<T> each(const F& of) const {
    std::vector<T> values;
    values.reserve(ids.size());
    for (const text::Run& run : runs) {
      const size_t n = run.size();
      for (size_t i = 0; i < n; ++i) values.push_back(of(run, i, values.size()));
    }
    return values;
  }
  const TokenDetails& details(const text::Run& run) const {
    return sequences[static_cast<size_t>(run.sequence)]->details();
  }
  std::string token(const text::Run& run, size_t i, size_t at) const {
    if (run.special) return run.special->tokens[i % run.special->tokens.size()];
    const auto& texts = details(run).texts;
    const size_t index = run.begin + i;
    const auto found =
        std::lower_bound(texts.begin(), texts.end(), index,
                         [](const auto& entry, size_t wanted) { return entry.first < wanted; });
    if (found != texts.end() && found->first == index) return found->second;
    return std::string(pipeline->token(ids[at]));
  }
  text::Origin offset(const text::Run& run, size_t i, size_t at) const;
};

}  // namespace detail

using detail::EncodedSequence;
using detail::EncodingData;
using text::Draft;
using text::Run;

namespace {

/// White space, or what the byte-level alphabet writes for a space.
bool is_blank(char32_t c) { return c == 0x120 || text::is_space(c); }

/// What remains of a token's offsets without the white space that it begins and ends with.
text::Origin trimmed(text::Origin offset, std::string_view token, const Run& run, size_t i) {
  uint32_t leading = 0, trailing = 0, count = 0;
  for (size_t at = 0; at < token.size(); ++count) {
    if (!is_blank(next_code_point(token, at))) {
      trailing = 0;
      continue;
    }
    leading += leading == count;
    ++trailing;
  }
  const bool first = (run.leads && i == 0) || offset.begin == 0;
  if (first && run.trim == Run::Trim::all_but_prefix && leading == 1) leading = 0;
  if (leading > 0) offset.begin = std::min(offset.begin + leading, offset.end);
  if (trailing > 0 && offset.end >= trailing) {
    offset.end = std::max(offset.end - trailing, offset.begin);
  }
  return offset;
}

/// Cuts a draft of one run to `length` tokens.
void truncate(Draft& draft, size_t length, const TextTruncation& how) {
  const size_t n = draft.size();
  if (length >= n) return;
  if (length == 0) {
    Draft all = std::move(draft);
    draft = {};
    draft.overflowing.push_back(std::move(all));
    return;
  }
  const auto stride = static_cast<size_t>(how.stride);
  if (stride >= length) {
    fail("truncation: the stride ", stride, " is not less than the ", length,
         " tokens that remain beside special tokens");
  }
  const Run whole = draft.runs[0];
  const auto part = [&](size_t begin, size_t end) {
    Run run = whole;
    run.begin = whole.begin + static_cast<uint32_t>(begin);
    run.end = whole.begin + static_cast<uint32_t>(end);
    return Draft{{run}, {}};
  };
  std::vector<Draft> parts;
  const size_t step = length - stride;
  if (how.left) {
    for (size_t end = n;; end -= step) {
      const size_t begin = end > length ? end - length : 0;
      parts.push_back(part(begin, end));
      if (begin == 0 || end <= step) break;
    }
  } else {
    for (size_t begin = 0; begin < n; begin += step) {
      const size_t end = std::min(begin + length, n);
      parts.push_back(part(begin, end));
      if (end == n) break;
    }
  }
  draft = std::move(parts[0]);
  draft.overflowing.assign(std::make_move_iterator(parts.begin() + 1),
                           std::make_move_iterator(parts.end()));
}

/// The lengths that the longest-first strategy leaves of two sequences.
std::pair<size_t, size_t> longest_first(size_t a, size_t b, size_t limit) {
  const bool swapped = a > b;
  if (swapped) std::swap(a, b);
  b = a > limit ? a : std::max(a, limit - a);
  if (a + b > limit) {
    a = limit / 2;
    b = a + limit % 2;
  }
  if (swapped) std::swap(a, b);
  return {a, b};
}

void truncate(std::vector<Draft>& drafts, size_t limit, const TextTruncation& how) {
  using Strategy = TextTruncation::Strategy;
  if (limit == 0) {
    for (Draft& draft : drafts) truncate(draft, 0, how);
    return;
  }
  size_t total = 0;
  for (const Draft& draft : drafts) total += draft.size();
  if (total <= limit) return;
  if (how.strategy == Strategy::longest_first) {
    if (drafts.size() == 1) return truncate(drafts[0], limit, how);
    const auto [a, b] = longest_first(drafts[0].size(), drafts[1].size(), limit);
    truncate(drafts[0], a, how);
    return truncate(drafts[1], b, how);
  }
  const size_t which = how.strategy == Strategy::only_second;
  if (which >= drafts.size()) fail("truncation: only_second, but there is one sequence");
  const size_t remove = total - limit;
  if (drafts[which].size() <= remove) {
    fail("truncation: the sequence to truncate has ", drafts[which].size(), " tokens, and ", remove,
         " must go");
  }
  truncate(drafts[which], drafts[which].size() - remove, how);
}

void pad(Draft& draft, size_t length, const TextPadding& how) {
  for (Draft& other : draft.overflowing) pad(other, length, how);
  const size_t n = draft.size();
  if (n >= length) return;
  if (length - n > INT32_MAX) fail("padding: to ", length, " tokens; the limit is 2^31");
  Run run;
  run.special =
      std::make_shared<const text::SpecialPiece>(text::SpecialPiece{{how.id}, {how.token}});
  run.repeat = static_cast<uint32_t>(length - n);
  run.type = how.type_id;
  run.padding = true;
  draft.runs.insert(how.left ? draft.runs.begin() : draft.runs.end(), std::move(run));
}

/// The length to pad to, for sequences of up to `longest` tokens.
size_t padded_length(size_t longest, const TextPadding& how) {
  size_t length = how.length ? static_cast<size_t>(*how.length) : longest;
  const auto multiple = static_cast<size_t>(how.multiple_of);
  if (multiple > 0 && length % multiple > 0) length += multiple - length % multiple;
  return length;
}

/// An encoding before it is filled up.
struct Prepared {
  Draft draft;
  std::shared_ptr<const EncodedSequence> sequences[2];
  std::vector<int32_t> ids[2];
};

}  // namespace

text::Origin EncodingData::offset(const Run& run, size_t i, size_t at) const {
  if (run.special) return {};
  const text::Origin offset = details(run).offsets[run.begin + i];
  return run.trim == Run::Trim::none ? offset : trimmed(offset, token(run, i, at), run, i);
}

/// Makes encodings of inputs, as a tokenizer is set.
class Encode {
 public:
  Encode(const Tokenizer& tokenizer, bool add_special_tokens)
      : tokenizer_(tokenizer), special_(add_special_tokens) {}

  Prepared prepare(const EncodeInput& input) const {
    Prepared made;
    std::vector<Draft> drafts;
    const auto& pipeline = tokenizer_.pipeline_;
    for (size_t i = 0; i < (input.has_pair ? 2U : 1U); ++i) {
      made.sequences[i] = std::make_shared<const EncodedSequence>(
          pipeline, i == 0 ? input.text : input.pair, input.words, tokenizer_.encodes_special_);
      made.sequences[i]->encode(made.ids[i], nullptr);
      Run run;
      run.sequence = static_cast<int32_t>(i);
      run.end = static_cast<uint32_t>(made.ids[i].size());
      run.type = run.sequence;
      drafts.push_back({{run}, {}});
    }
    if (tokenizer_.truncation_) truncate_all(drafts);
    for (const auto& step : pipeline->post_processor) step->apply(drafts, special_);
    for (const Draft& draft : drafts) made.draft.merge(draft);
    return made;
  }

  Encoding finish(Prepared& made, std::optional<size_t> length) const {
    if (length) pad(made.draft, *length, *tokenizer_.padding_);
    return finish(made, made.draft);
  }

  std::optional<size_t> length(size_t longest) const {
    if (!tokenizer_.padding_) return std::nullopt;
    return padded_length(longest, *tokenizer_.padding_);
  }

 private:
  void truncate_all(std::vector<Draft>& drafts) const {
    const TextTruncation& how = *tokenizer_.truncation_;
    auto limit = static_cast<size_t>(how.max_length);
    const size_t added =
        special_ ? tokenizer_.pipeline_->special_tokens_added(drafts.size() == 2) : 0;
    if (added > limit) {
      fail("truncation: to ", limit, " tokens, of which ", added, " are special tokens");
    }
    truncate(drafts, limit - added, how);
  }

  Encoding finish(Prepared& made, Draft& draft) const {
    auto data = std::make_shared<EncodingData>();
    data->pipeline = tokenizer_.pipeline_;
    data->unsequenced = tokenizer_.pipeline_->post_processor.empty() && !made.sequences[1];
    for (size_t i = 0; i < 2; ++i) data->sequences[i] = made.sequences[i];
    for (Draft& other : draft.overflowing) data->overflowing.push_back(finish(made, other));
    data->runs = std::move(draft.runs);
    data->ids.reserve(draft.size());
    for (const Run& run : data->runs) {
      if (!run.special) {
        const auto& ids = made.ids[run.sequence];
        data->ids.insert(data->ids.end(), ids.begin() + run.begin, ids.begin() + run.end);
        continue;
      }
      for (uint32_t n = 0; n < run.repeat; ++n) {
        data->ids.insert(data->ids.end(), run.special->ids.begin(), run.special->ids.end());
      }
    }
    Encoding encoding;
    encoding.data_ = std::move(data);
    return encoding;
  }

  const Tokenizer& tokenizer_;
  const bool special_;
};

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool add_special_tokens) const {
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 4 + 8);
  pipeline_->encode(text, encodes_special_, ids, nullptr, -1);
  if (!add_special_tokens || pipeline_->special_tokens_added(false) == 0) return ids;
  Run run;
  run.sequence = 0;
  run.end = static_cast<uint32_t>(ids.size());
  std::vector<Draft> drafts{{{run}, {}}};
  for (const auto& step : pipeline_->post_processor) step->apply(drafts, true);
  std::vector<int32_t> all;
  all.reserve(ids.size() + 8);
  for (const Draft& draft : drafts) {
    for (const Run& part : draft.runs) {
      const auto& from = part.special ? part.special->ids : ids;
      all.insert(all.end(), from.begin(), from.end());
    }
  }
  return all;
}

Encoding Tokenizer::encoding(const EncodeInput& input, bool add_special_tokens) const {
  const Encode encode(*this, add_special_tokens);
  Prepared made = encode.prepare(input);
  return encode.finish(made, encode.length(made.draft.size()));
}

std::vector<Encoding> Tokenizer::encodings(std::span<const EncodeInput> inputs,
                                           bool add_special_tokens) const {
  const Encode encode(*this, add_special_tokens);
  const auto n = static_cast<int64_t>(inputs.size());
  std::vector<Prepared> made(inputs.size());
  std::vector<Encoding> encodings(inputs.size());
  const auto each = [&](const auto& f) {
    parallel_for(n, 1, [&](int64_t begin, int64_t end, int) {
      for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) f(i);
    });
  };
  each([&](size_t i) {
    made[i] = encode.prepare(inputs[i]);
    if (!padding_) encodings[i] = encode.finish(made[i], std::nullopt);
  });
  if (!padding_) return encodings;
  size_t longest = 0;
  for (const Prepared& one : made) longest = std::max(longest, one.draft.size());
  each([&](size_t i) { encodings[i] = encode.finish(made[i], encode.length(longest)); });
  return encodings;
}

const std::vector<int32_t>& Encoding::ids() const { return data_->ids; }
const std::vector<Encoding>& Encoding::overflowing() const { return data_->overflowing; }

std::vector<std::string> Encoding::tokens() const {
  return data_->each<std::string>(
      [&](const Run& run, size_t i, size_t at) { return data_->token(run, i, at); });
}

std::vector<Encoding::Range> Encoding::offsets() const {
  return data_->each<Range>([&](const Run& run, size_t i, size_t at) {
    const text::Origin offset = data_->offset(run, i, at);
    return Range{offset.begin, offset.end};
  });
}

std::vector<int32_t> Encoding::type_ids() const {
  return data_->each<int32_t>([](const Run& run, size_t, size_t) { return run.type; });
}

std::vector<int32_t> Encoding::special_tokens_mask() const {
  return data_->each<int32_t>([](const Run& run, size_t, size_t) { return run.special ? 1 : 0; });
}

std::vector<int32_t> Encoding::attention_mask() const {
  return data_->each<int32_t>([](const Run& run, size_t, size_t) { return run.padding ? 0 : 1; });
}

std::vector<int32_t> Encoding::word_ids() const {
  return data_->each<int32_t>([&](const Run& run, size_t i, size_t) {
    return run.special ? -1 : data_->details(run).words[run.begin + i];
  });
}

std::vector<int32_t> Encoding::sequence_ids() const {
  return data_->each<int32_t>(
      [&](const Run& run, size_t, size_t) { return data_->unsequenced ? 0 : run.sequence; });
}

int64_t Encoding::n_sequences() const { return data_->sequences[1] ? 2 : 1; }

std::optional<int64_t> Encoding::char_to_token(int64_t at, int64_t sequence) const {
  const auto ids = sequence_ids();
  const auto ranges = offsets();
  for (size_t i = 0; i < ranges.size(); ++i) {
    if (ids[i] == sequence && at >= ranges[i].first && at < ranges[i].second) {
      return static_cast<int64_t>(i);
    }
  }
  return std::nullopt;
}

std::optional<int64_t> Encoding::char_to_word(int64_t at, int64_t sequence) const {
  const auto token = char_to_token(at, sequence);
  if (!token) return std::nullopt;
  const int32_t word = word_ids()[static_cast<size_t>(*token)];
  return word < 0 ? std::nullopt : std::optional<int64_t>(word);
}

std::optional<Encoding::Range> Encoding::word_to_tokens(int64_t word, int64_t sequence) const {
  const auto ids = sequence_ids();
  const auto words = word_ids();
  std::optional<Range> range;
  for (size_t i = 0; i < words.size(); ++i) {
    if (ids[i] != sequence || words[i] != word) continue;
    if (!range) range = Range{static_cast<int64_t>(i), 0};
    range->second = static_cast<int64_t>(i) + 1;
  }
  return range;
}

std::optional<Encoding::Range> Encoding::word_to_chars(int64_t word, int64_t sequence) const {
  const auto range = word_to_tokens(word, sequence);
  if (!range) return std::nullopt;
  const auto ranges = offsets();
  return Range{ranges[static_cast<size_t>(range->first)].first,
               ranges[static_cast<size_t>(range->second - 1)].second};
}

std::optional<int64_t> Encoding::token_to_sequence(int64_t token) const {
  if (token < 0 || token >= static_cast<int64_t>(ids().size())) return std::nullopt;
  const int32_t sequence = sequence_ids()[static_cast<size_t>(token)];
  return sequence < 0 ? std::nullopt : std::optional<int64_t>(sequence);
}

std::optional<std::pair<int64_t, Encoding::Range>> Encoding::token_to_chars(int64_t token) const {
  const auto sequence = token_to_sequence(token);
  if (!sequence) return std::nullopt;
  return std::pair{*sequence, offsets()[static_cast<size_t>(token)]};
}

std::optional<std::pair<int64_t, int64_t>> Encoding::token_to_word(int64_t token) const {
  const auto sequence = token_to_sequence(token);
  if (!sequence) return std::nullopt;
  const int64_t word = word_ids()[static_cast<size_t>(token)];
  if (word < 0) return std::nullopt;
  return std::pair{*sequence, word};
}

}  // namespace tallow
