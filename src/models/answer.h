// An answer as it comes, token by token: what of it is text, thought, or the call of a function.
#pragma once

#include <span>
#include <string>

#include "tallow/language_model.h"

namespace tallow {

struct AnswerFormat;

/// Takes an answer's tokens in turn. Text is whole characters, up to a stop string.
class Answer {
 public:
  /// `prompt` says whether the answer begins inside a thought.
  Answer(const Tokenizer& tokenizer, const GenerateOptions& options,
         std::span<const int32_t> prompt);

  struct Piece {
    std::string text, thought;
  };
  /// What `token` makes known.
  Piece next(int32_t token);
  Piece finish();
  bool stopped() const { return stop_.matched().has_value(); }
  /// The calls so far: a list of {"name": ..., "arguments": {...}}.
  const Json& calls() const { return calls_; }

 private:
  enum class Part { text, thought, call };
  Piece take(std::string decoded);
  Piece leave_call();

  const Tokenizer& tokenizer_;
  const AnswerFormat* format_ = nullptr;  // or null: all is text
  StreamDecoder decoder_;
  StopStrings stop_;
  Part part_ = Part::text;
  bool names_channel_ = false;  // the first line of the thought is still to come
  std::vector<int32_t> call_;   // tokens of the call that is being made
  Json calls_ = Json::array();
};

}  // namespace tallow
