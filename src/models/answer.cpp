// The formats of answers: which tokens begin and end thoughts and calls, and how calls are spelled.
#include "models/answer.h"

#include <algorithm>
#include <utility>

#include "tallow/error.h"

namespace tallow {

struct AnswerFormat {
  const char *begin_thought, *end_thought, *begin_call, *end_call;
  bool names_channel;  ///< a thought's first line is the name of its channel
  Json (*parse_call)(std::string_view);
};

namespace {

/// `call:NAME{key:value, ...}` as Gemma 4 writes it: keys are bare, and texts stand between <|"|>.
class GemmaCall {
 public:
  explicit GemmaCall(std::string_view text) : text_(text) {}

  Json parse() {
    expect("call:");
    const size_t brace = text_.find('{', at_);
    if (brace == text_.npos || brace == at_) refuse();
    Json call = Json::object();
    call.set("name", text_.substr(at_, brace - at_));
    at_ = brace;
    call.set("arguments", object(0));
    skip_space();
    if (at_ != text_.size()) refuse();
    return call;
  }

 private:
  static constexpr std::string_view kQuote = "<|\"|>";
  static constexpr int kDeepest = 64;

  [[noreturn]] void refuse() const { fail("tool call: is malformed at byte ", at_); }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool take(std::string_view what) {
    skip_space();
    if (text_.substr(at_, what.size()) != what) return false;
    at_ += what.size();
    return true;
  }
  void expect(std::string_view what) {
    if (!take(what)) refuse();
  }

  std::string_view until(std::string_view end) {
    const size_t stop = text_.find(end, at_);
    if (stop == text_.npos) refuse();
    const std::string_view part = text_.substr(at_, stop - at_);
    at_ = stop + end.size();
    return part;
  }

  Json object(int depth) {
    Json result = Json::object();
    expect("{");
    if (take("}")) return result;
    do {
      skip_space();
      std::string_view key;
      if (take(kQuote)) {
        key = until(kQuote);
        expect(":");
      } else {
        key = until(":");
      }
      result.set(key, value(depth + 1));
    } while (take(","));
    expect("}");
    return result;
  }

  Json list(int depth) {
    Json::Array items;
    expect("[");
    if (take("]")) return items;
    do items.push_back(value(depth + 1));
    while (take(","));
    expect("]");
    return items;
  }

  Json value(int depth) {
    if (depth > kDeepest) refuse();
    skip_space();
    if (take(kQuote)) return until(kQuote);
    if (at_ < text_.size() && text_[at_] == '{') return object(depth);
    if (at_ < text_.size() && text_[at_] == '[') return list(depth);
    const size_t end = std::min(text_.find_first_of(",}]", at_), text_.size());
    std::string_view word = text_.substr(at_, end - at_);
    while (word.ends_with(' ') || word.ends_with('\n')) word.remove_suffix(1);
    if (word.empty()) refuse();
    at_ = end;
    // A word that is no JSON is a text whose quotes were forgotten.
    try {
      return Json::parse(word, "tool call");
    } catch (const Error&) {
      return word;
    }
  }

  std::string_view text_;
  size_t at_ = 0;
};

Json parse_gemma_call(std::string_view text) { return GemmaCall(text).parse(); }

/// {"name": ..., "arguments": {...}}, as Hermes and Qwen write it.
Json parse_json_call(std::string_view text) {
  Json call = Json::parse(text, "tool call");
  const Json* name = call.find("name");
  if (!name || !name->is_string() || !call.find("arguments")) fail("tool call: names no function");
  return call;
}

constexpr AnswerFormat kFormats[] = {
    {"<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", true, parse_gemma_call},
    {"<think>", "</think>", "<tool_call>", "</tool_call>", false, parse_json_call},
};

bool is(const Tokenizer& tokenizer, int32_t token, const char* text) {
  const auto id = tokenizer.token_id(text);
  return id && *id == token;
}

/// The format whose marks the tokenizer has as tokens of their own.
const AnswerFormat* format_of(const Tokenizer& tokenizer) {
  for (const AnswerFormat& format : kFormats) {
    if (tokenizer.token_id(format.begin_thought) || tokenizer.token_id(format.begin_call)) {
      return &format;
    }
  }
  return nullptr;
}

bool ends_in_thought(const Tokenizer& tokenizer, const AnswerFormat& format,
                     std::span<const int32_t> prompt) {
  for (size_t i = prompt.size(); i-- > 0;) {
    if (is(tokenizer, prompt[i], format.end_thought)) return false;
    if (is(tokenizer, prompt[i], format.begin_thought)) return true;
  }
  return false;
}

}  // namespace

Answer::Answer(const Tokenizer& tokenizer, const GenerateOptions& options,
               std::span<const int32_t> prompt)
    : tokenizer_(tokenizer),
      format_(options.chat ? format_of(tokenizer) : nullptr),
      decoder_(tokenizer, /*skip_special_tokens=*/true),
      stop_(options.stop) {
  if (format_ && ends_in_thought(tokenizer, *format_, prompt)) part_ = Part::thought;
}

Answer::Piece Answer::take(std::string decoded) {
  if (part_ == Part::text) return {stop_.next(decoded), ""};
  if (names_channel_) {
    const size_t line = decoded.find('\n');
    names_channel_ = line == decoded.npos;
    decoded = names_channel_ ? "" : decoded.substr(line + 1);
  }
  return {"", decoded};
}

Answer::Piece Answer::leave_call() {
  part_ = Part::text;
  const std::string spelled = tokenizer_.decode(std::exchange(call_, {}));
  try {
    calls_.items().push_back(format_->parse_call(spelled));
  } catch (const Error&) {
    // What cannot be called is shown.
    return {stop_.next(format_->begin_call + spelled + format_->end_call), ""};
  }
  return {};
}

Answer::Piece Answer::next(int32_t token) {
  if (format_) {
    if (part_ == Part::call) {
      if (is(tokenizer_, token, format_->end_call)) return leave_call();
      call_.push_back(token);
      return {};
    }
    const bool thinks = is(tokenizer_, token, format_->begin_thought);
    if (thinks || is(tokenizer_, token, format_->end_thought)) {
      Piece rest = take(decoder_.finish());
      part_ = thinks ? Part::thought : Part::text;
      names_channel_ = thinks && format_->names_channel;
      return rest;
    }
    if (is(tokenizer_, token, format_->begin_call)) {
      Piece rest = take(decoder_.finish());
      part_ = Part::call;
      return rest;
    }
  }
  return take(decoder_.next(token));
}

Answer::Piece Answer::finish() {
  // A call that was cut off is shown as far as it came.
  Piece last = part_ == Part::call
                   ? Piece{stop_.next(format_->begin_call + tokenizer_.decode(call_)), ""}
                   : take(decoder_.finish());
  last.text += stop_.finish();
  return last;
}

Generation LanguageModel::read_answer(std::span<const int32_t> tokens) const {
  check_tokens(tokens);
  GenerateOptions options;
  options.chat = true;
  Answer answer(text().tokenizer, options, {});
  Generation result;
  const auto add = [&](const Answer::Piece& piece) {
    result.text += piece.text;
    result.thought += piece.thought;
  };
  for (const int32_t token : tokens) {
    if (is_end(token)) break;
    result.tokens.push_back(token);
    add(answer.next(token));
  }
  add(answer.finish());
  result.tool_calls = answer.calls();
  return result;
}

}  // namespace tallow
