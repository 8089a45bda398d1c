// Chat templates: the Jinja text that a model ships, rendered as transformers renders it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "tallow/json.h"

namespace tallow {

namespace jinja {
class Template;
}

/// What a template sees beside the messages. Null JSON stands for Python's None.
struct ChatOptions {
  bool add_generation_prompt = false;
  Json tools;             ///< a list of JSON schemas of functions
  Json documents;         ///< a list of {"title", "text"}
  std::string bos_token;  ///< and eos_token: the text of the special tokens
  std::string eos_token;
  Json variables;  ///< an object of further variables, which take precedence
  /// The time that strftime_now shows, in seconds since 1970 UTC; the clock's when absent.
  std::optional<int64_t> now;
};

/// A compiled template: immutable, cheap to copy, safe to render from several threads.
///
/// Templates are somebody else's programs. They run in a sandbox as narrow as transformers' and
/// with limits on steps, memory and depth, so that rendering ends, with a result or an Error.
class ChatTemplate {
 public:
  /// Compiles `source`; `what` begins every error message. Throws Error with the line.
  ChatTemplate(std::string_view source, std::string what);

  /// The prompt that the template makes of `messages`, [{"role": ..., "content": ...}, ...].
  /// Throws Error with the line: for what the template raises, for a value that it cannot use, and
  /// for a limit that it passed.
  std::string render(const Json& messages, const ChatOptions& options = {}) const;
  /// The template with just these variables (an object), and transformers' global functions.
  std::string render_variables(const Json& variables, std::optional<int64_t> now = {}) const;

  /// The template that tokenizer_config.json holds under "chat_template": a string, or a list of
  /// {"name", "template"} of which `name` is taken. None when there is no such template.
  static std::optional<ChatTemplate> from_config(const Json& tokenizer_config,
                                                 const std::string& what,
                                                 std::string_view name = "default");
  /// The template of a model's folder: chat_template.jinja, or chat_template.json, or the one in
  /// tokenizer_config.json. None when there is none.
  static std::optional<ChatTemplate> from_folder(const std::string& folder);
  /// The text that was compiled.
  const std::string& source() const { return *source_; }

 private:
  std::shared_ptr<const jinja::Template> template_;
  std::shared_ptr<const std::string> source_;
};

}  // namespace tallow
