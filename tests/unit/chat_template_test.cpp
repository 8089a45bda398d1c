// Chat templates: where they come from, what they see, and that errors name the line. What they
// render is compared with transformers in tests/python/test_chat_template.py.
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "tallow/chat_template.h"
#include "tallow/error.h"

using tallow::ChatOptions;
using tallow::ChatTemplate;
using tallow::Error;
using tallow::Json;

static Json messages() {
  return Json::parse(
      R"([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": null}])", "test");
}

static std::string error_of(std::string_view source) {
  try {
    return "rendered: " + ChatTemplate(source, "file.jinja").render(messages());
  } catch (const Error& e) {
    return e.what();
  }
}

TEST_CASE("chat template: one compiled template renders again and again") {
  const ChatTemplate chat(
      "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
      "{% if add_generation_prompt %}>{% endif %}{{ bos_token }}{{ mood }}{{ eos_token is defined "
      "}}",
      "t");
  ChatOptions options;
  CHECK(chat.render(messages(), options) == "<user>Hi<assistant>False");
  options.add_generation_prompt = true;
  options.bos_token = "<s>";
  options.variables = Json::object();
  options.variables.set("mood", "calm");
  const ChatTemplate copy = chat;
  CHECK(copy.render(messages(), options) == "<user>Hi<assistant>><s>calmFalse");
}

TEST_CASE("chat template: errors name the template and the line") {
  CHECK(error_of("a\n{{ raise_exception('no system role') }}") ==
        "file.jinja: line 2: no system role");
  CHECK(error_of("\n\n{{ x.y }}") == "file.jinja: line 3: 'x' is undefined");
  CHECK(error_of("{% if %}").rfind("file.jinja: line 1: ", 0) == 0);
  CHECK(error_of("x\n{% for m in messages %}") ==
        "file.jinja: line 2: the template ends inside a block; {% endfor %} is missing");
  CHECK(error_of("{{ messages|nope }}") == "file.jinja: line 1: no filter named 'nope'");
  CHECK_THROWS_AS(ChatTemplate("x", "t").render(Json::array()), Error);
  CHECK_THROWS_AS(ChatTemplate("x", "t").render(Json("x")), Error);
}

TEST_CASE("chat template: circular namespaces and macros are freed") {
  CHECK(ChatTemplate("{% set a = namespace() %}{% set b = namespace(a=a) %}{% set a.b = [b] %}"
                     "{% for i in [1, 2] %}{% macro m() %}{{ i }}{% endmacro %}{% set a.m = m %}"
                     "{% set a.l = loop %}{{ m() }}{% endfor %}",
                     "t")
            .render(messages()) == "12");
}

TEST_CASE("chat template: tokenizer_config.json holds one, or several by name") {
  const auto text = [](const std::optional<ChatTemplate>& chat) {
    return chat ? chat->render(messages()) : "none";
  };
  const Json one = Json::parse(R"({"chat_template": "A"})", "c");
  const Json many = Json::parse(R"({"chat_template": [{"name": "default", "template": "B"},
                                                      {"name": "tool_use", "template": "C"}]})",
                                "c");
  CHECK(text(ChatTemplate::from_config(one, "c")) == "A");
  CHECK(text(ChatTemplate::from_config(many, "c")) == "B");
  CHECK(text(ChatTemplate::from_config(many, "c", "tool_use")) == "C");
  CHECK(text(ChatTemplate::from_config(many, "c", "rag")) == "none");
  CHECK(text(ChatTemplate::from_config(Json::object(), "c")) == "none");
  CHECK_THROWS_AS(ChatTemplate::from_config(Json::parse(R"({"chat_template": 1})", "c"), "c"),
                  Error);
  CHECK_THROWS_AS(ChatTemplate::from_config(Json::parse(R"({"chat_template": [{}]})", "c"), "c"),
                  Error);
}

TEST_CASE("chat template: a folder's chat_template.jinja goes before its tokenizer_config.json") {
  std::string pattern = (std::filesystem::temp_directory_path() / "tallow_chat_XXXXXX").string();
  REQUIRE(mkdtemp(pattern.data()) != nullptr);
  const std::filesystem::path folder = pattern;
  const auto write = [&](const char* name, const char* text) {
    FILE* file = std::fopen((folder / name).c_str(), "wb");
    REQUIRE(file != nullptr);
    std::fputs(text, file);
    std::fclose(file);
  };
  CHECK(!ChatTemplate::from_folder(pattern));
  write("tokenizer_config.json", R"({"chat_template": "config"})");
  CHECK(ChatTemplate::from_folder(pattern)->render(messages()) == "config");
  write("chat_template.jinja", "file\n");
  CHECK(ChatTemplate::from_folder(pattern)->render(messages()) == "file");
  std::filesystem::remove_all(folder);
}
