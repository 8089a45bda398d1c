// tallow_probe template: stdin is lines of JSON, each {"template", "variables"} or
// {"template", "messages", "options"}; each answers with a line of JSON, {"text"} or {"error"}.
#include <cstdio>
#include <string>

#include "tallow/chat_template.h"
#include "tallow/error.h"
#include "tallow/json.h"

namespace probe {

using tallow::Json;

static std::string render_one(const Json& request) {
  const tallow::ChatTemplate chat(request.at("template").string(), "t");
  std::optional<int64_t> now;
  if (const Json* value = request.find("now")) now = value->integer();
  if (const Json* variables = request.find("variables")) {
    return chat.render_variables(*variables, now);
  }
  tallow::ChatOptions options;
  options.now = now;
  const auto text = [&](const char* key) {
    const Json* value = request.find(key);
    return value ? value->string() : std::string();
  };
  options.bos_token = text("bos_token");
  options.eos_token = text("eos_token");
  if (const Json* value = request.find("add_generation_prompt")) {
    options.add_generation_prompt = value->boolean();
  }
  if (const Json* value = request.find("tools")) options.tools = *value;
  if (const Json* value = request.find("documents")) options.documents = *value;
  if (const Json* value = request.find("extra")) options.variables = *value;
  return chat.render(request.at("messages"), options);
}

int render(int, char**) {
  std::string line;
  for (int c = std::getchar(); c != EOF; c = std::getchar()) {
    if (c != '\n') {
      line += static_cast<char>(c);
      continue;
    }
    Json answer = Json::object();
    try {
      answer.set("text", render_one(Json::parse(line, "request")));
    } catch (const tallow::Error& error) {
      answer.set("error", error.what());
    }
    std::puts(answer.dump().c_str());
    std::fflush(stdout);
    line.clear();
  }
  return 0;
}

}  // namespace probe
