// What answering one prompt and chatting share.
#pragma once

#include <string>

#include "model.h"

namespace tallow::app {

/// A model that was opened to answer.
struct Talker {
  const RunOptions& options;
  const LanguageModel& model;
  Session session;
  SamplingOptions sampling;
  double load_ms;

  /// Whether prompts go through the chat template.
  bool templated() const;
  /// The ids of a chat, or of plain text.
  std::vector<int32_t> chat_tokens(const Json& messages) const;
  std::vector<int32_t> plain_tokens(const std::string& text) const;
  /// Answers, streaming to standard output unless `quiet`, until done or interrupted.
  Generation answer(const std::vector<int32_t>& prompt, bool quiet);
  /// The figures of an answer, for people.
  std::string figures(const Generation& result) const;
};

Json message(const char* role, const std::string& content);

/// The conversation on a terminal.
int chat(Talker& talker);

}  // namespace tallow::app
