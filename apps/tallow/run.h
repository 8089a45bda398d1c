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
  /// The prompt of a chat, or of plain text.
  Prompt chat_prompt(const Json& messages) const;
  Prompt plain_prompt(const std::string& text) const;
  /// Answers, streaming to standard output unless `quiet`, until done or interrupted.
  Generation answer(const Prompt& prompt, bool quiet);
  /// The figures of an answer, for people.
  std::string figures(const Generation& result) const;
};

Json message(const char* role, const std::string& content);
/// A user's message with the media before its text, as {"type": "image", "path": ...} and so on.
Json message(const MediaFlags& media, const std::string& content);

/// The conversation on a terminal.
int chat(Talker& talker);

}  // namespace tallow::app
