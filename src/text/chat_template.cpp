// Chat templates: which text is the template, what it sees, and how it is rendered.
#include "tallow/chat_template.h"

#include "core/read_file.h"
#include "tallow/error.h"
#include "text/jinja/machine.h"
#include "text/jinja/parser.h"

namespace tallow {
namespace {

constexpr size_t kMaxSource = size_t{4} << 20;

/// A message as transformers passes it on: without keys whose value is null, and with its reasoning
/// under each of the names that templates read.
Json normalized(const Json& message) {
  const Json* reasoning = nullptr;
  for (const char* name : {"reasoning", "thinking", "reasoning_content"}) {
    const Json* found = message.find(name);
    if (found && !found->is_null()) reasoning = found;
  }
  Json copy = Json::object();
  if (reasoning) copy.set("thinking", *reasoning);
  for (const auto& [key, value] : message.members()) {
    if (!value.is_null()) copy.set(key, value);
  }
  if (reasoning) copy.set("reasoning_content", *reasoning);
  return copy;
}

std::optional<ChatTemplate> from_value(const Json* value, const std::string& what,
                                       std::string_view name) {
  if (!value || value->is_null()) return std::nullopt;
  if (value->is_string()) return ChatTemplate(value->string(), what);
  if (!value->is_array()) fail(what, ": chat_template is neither a string nor a list");
  for (const Json& entry : value->items()) {
    const Json* title = entry.find("name");
    const Json* source = entry.find("template");
    if (!title || !title->is_string() || !source || !source->is_string()) {
      fail(what, ": an entry of the list chat_template lacks \"name\" or \"template\"");
    }
    if (title->string() == name) return ChatTemplate(source->string(), what);
  }
  return std::nullopt;
}

}  // namespace

ChatTemplate::ChatTemplate(std::string_view source, std::string what) {
  if (source.size() > kMaxSource) {
    fail(what, ": a chat template of ", source.size(), " bytes is over 4 MiB");
  }
  template_ = std::make_shared<const jinja::Template>(source, std::move(what));
  source_ = std::make_shared<const std::string>(source);
}

std::string ChatTemplate::render_variables(const Json& variables,
                                           std::optional<int64_t> now) const {
  jinja::Machine machine(template_->what(), variables, now);
  return machine.run(template_->body());
}

std::string ChatTemplate::render(const Json& messages, const ChatOptions& options) const {
  const std::string& what = template_->what();
  if (!messages.is_array()) fail(what, ": the messages must be a list of objects");
  if (messages.items().empty()) fail(what, ": there are no messages; give at least one");
  Json list = Json::array();
  for (const Json& message : messages.items()) {
    if (!message.is_object()) fail(what, ": a message must be an object with a role and a content");
    list.items().push_back(normalized(message));
  }
  Json variables = Json::object();
  variables.set("messages", std::move(list));
  variables.set("tools", options.tools);
  variables.set("documents", options.documents);
  variables.set("add_generation_prompt", options.add_generation_prompt);
  if (!options.bos_token.empty()) variables.set("bos_token", options.bos_token);
  if (!options.eos_token.empty()) variables.set("eos_token", options.eos_token);
  if (options.variables.is_object()) {
    for (const auto& [key, value] : options.variables.members()) variables.set(key, value);
  }
  return render_variables(variables, options.now);
}

std::optional<ChatTemplate> ChatTemplate::from_config(const Json& tokenizer_config,
                                                      const std::string& what,
                                                      std::string_view name) {
  return from_value(tokenizer_config.find("chat_template"), what, name);
}

std::optional<ChatTemplate> ChatTemplate::from_folder(const std::string& folder) {
  const std::string plain = folder + "/chat_template.jinja";
  if (file_exists(plain)) return ChatTemplate(read_file(plain, kMaxSource), plain);
  for (const char* name : {"/chat_template.json", "/tokenizer_config.json"}) {
    const std::string path = folder + name;
    if (!file_exists(path)) continue;
    if (auto found = from_config(Json::read(path), path)) return found;
  }
  return std::nullopt;
}

}  // namespace tallow
