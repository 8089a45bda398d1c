// `tallow run`: answers one prompt, or hands over to the chat.
#include "run.h"

#include <algorithm>
#include <cstdio>

#include <unistd.h>

#include "process.h"
#include "tallow/error.h"
#include "tallow/parallel.h"

namespace tallow::app {
namespace {

using Clock = std::chrono::steady_clock;

double per_second(int64_t count, double seconds) {
  return seconds > 0 ? static_cast<double>(count) / seconds : 0.0;
}

double first_token_ms(const Generation& result) {
  return result.first_token ? milliseconds_since_start(*result.first_token) : 0.0;
}

std::string as_json(const Talker& talker, const Generation& result) {
  Json out = Json::object();
  out.set("text", result.text);
  if (!result.thought.empty()) out.set("thought", result.thought);
  if (!result.tool_calls.items().empty()) out.set("tool_calls", result.tool_calls);
  out.set("prompt_tokens", result.prompt_tokens);
  out.set("tokens", static_cast<int64_t>(result.tokens.size()));
  out.set("finish_reason", result.finish_reason);
  if (result.drafted_tokens > 0) {
    out.set("drafted_tokens", result.drafted_tokens);
    out.set("accepted_tokens", result.accepted_tokens);
  }
  out.set("load_ms", talker.load_ms);
  out.set("first_token_ms", first_token_ms(result));
  out.set("prefill_tokens_per_s", per_second(result.prefilled_tokens, result.prefill_seconds));
  out.set("decode_tokens_per_s", per_second(result.decoded_tokens, result.decode_seconds));
  out.set("peak_rss_bytes", peak_rss_bytes());
  return out.dump() + "\n";
}

/// The prompt from standard input, without the newline that echo or an editor put at its end.
std::string piped_prompt() {
  std::string text = read_stdin();
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

int answer_once(Talker& talker, const std::string& prompt) {
  const RunOptions& options = talker.options;
  Prompt input;
  if (talker.templated()) {
    Json::Array messages;
    if (options.system) messages.push_back(message("system", *options.system));
    messages.push_back(message(options.media, prompt));
    input = talker.chat_prompt(Json(std::move(messages)));
  } else {
    input = talker.plain_prompt(prompt);
  }
  const Generation result = talker.answer(input, options.json);
  if (options.json) {
    write_stdout(as_json(talker, result));
  } else if (!result.text.ends_with('\n')) {
    write_stdout("\n");
  }
  if (options.stats) std::fputs(talker.figures(result).c_str(), stderr);
  if (result.finish_reason == "interrupted") die_of_interrupt();
  return 0;
}

void check(const RunOptions& options) {
  const MediaFlags& media = options.media;
  if (options.raw && !media.empty()) {
    fail("--raw: images, sounds and videos need the chat template; leave --raw out");
  }
  if (media.image_tokens.size() > 1 && media.image_tokens.size() != media.images.size()) {
    fail("--image-tokens: ", media.image_tokens.size(), " numbers for ", media.images.size(),
         " images; give one for all, or one each");
  }
  if (options.raw && options.system) {
    fail("--system: --raw has no place for it; put it into the prompt");
  }
  if (!options.prompt && options.json && isatty(STDIN_FILENO)) {
    fail("--json: a chat has no JSON; give a prompt with -p");
  }
}

}  // namespace

Json message(const char* role, const std::string& content) {
  Json m = Json::object();
  m.set("role", role);
  m.set("content", content);
  return m;
}

Json message(const MediaFlags& media, const std::string& content) {
  if (media.empty()) return message("user", content);
  Json::Array items;
  const auto add = [&](const char* type, const char* key, const std::string& value) -> Json& {
    items.push_back(Json::Object{{"type", type}, {key, value}});
    return items.back();
  };
  for (size_t i = 0; i < media.images.size(); ++i) {
    Json& item = add("image", "path", media.images[i]);
    const auto& tokens = media.image_tokens;
    if (!tokens.empty()) item.set("tokens", tokens[std::min(i, tokens.size() - 1)]);
  }
  for (const std::string& path : media.videos) add("video", "path", path);
  for (const std::string& path : media.sounds) add("audio", "path", path);
  add("text", "text", content);
  Json m = Json::object();
  m.set("role", "user");
  m.set("content", std::move(items));
  return m;
}

bool Talker::templated() const { return !options.raw && model.text().chat_template.has_value(); }

Prompt Talker::chat_prompt(const Json& messages) const {
  ChatRequest request = chat_request(options.think);
  if (options.tools) request.tools = Json::read(*options.tools);
  return model.chat_prompt(messages, request);
}

Prompt Talker::plain_prompt(const std::string& text) const {
  return model.text().tokenizer.encode(text);
}

Generation Talker::answer(const Prompt& prompt, bool quiet) {
  GenerateOptions generate{.max_tokens = options.max_tokens,
                           .sampling = sampling,
                           .stop = options.stop,
                           .chat = templated()};
  if (!quiet) {
    generate.on_thought = [](std::string_view thought) {
      std::fprintf(stderr, "%.*s", static_cast<int>(thought.size()), thought.data());
    };
  }
  Generation result = session.generate(prompt, generate, [&](std::string_view text) {
    if (!quiet) write_stdout(text);
    return !interrupted();
  });
  if (!quiet) {
    for (const Json& call : result.tool_calls.items()) write_stdout(call.dump() + "\n");
  }
  return result;
}

std::string Talker::figures(const Generation& result) const {
  char line[512];
  std::string drafts;
  if (result.drafted_tokens > 0) {
    drafts = str("drafts   ", result.accepted_tokens, " of ", result.drafted_tokens, " accepted\n");
  }
  std::snprintf(line, sizeof line,
                "load     %.1f ms\n"
                "first    %.1f ms from process start\n"
                "prefill  %lld tokens, %.1f tokens/s\n"
                "decode   %lld tokens, %.1f tokens/s\n"
                "%s"
                "memory   %.1f MB at most; threads %d; seed %llu; ended by %s\n",
                load_ms, first_token_ms(result), static_cast<long long>(result.prefilled_tokens),
                per_second(result.prefilled_tokens, result.prefill_seconds),
                static_cast<long long>(result.decoded_tokens),
                per_second(result.decoded_tokens, result.decode_seconds), drafts.c_str(),
                static_cast<double>(peak_rss_bytes()) * 1e-6, num_threads(),
                static_cast<unsigned long long>(sampling.seed), result.finish_reason.c_str());
  return line;
}

int run(const RunOptions& options) {
  check(options);
  const bool chatting = !options.prompt && isatty(STDIN_FILENO);
  const std::string prompt = options.prompt ? *options.prompt : chatting ? "" : piped_prompt();
  const auto start = Clock::now();
  const auto model = open_model(options.model);
  const TextModel& text = model->text();
  if (options.system && !text.chat_template) {
    fail(text.what, ": has no chat template, and so no place for --system");
  }
  const auto drafter = open_drafter(options.model, *model);
  Talker talker{.options = options,
                .model = *model,
                .session = Session(*model, session_options(options.model, drafter.get())),
                .sampling = sampling_options(options.sampling, model->default_sampling()),
                .load_ms = 0};
  talker.load_ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  catch_interrupts();
  if (chatting) return chat(talker);
  if (!options.raw && !text.chat_template) {
    std::fprintf(stderr, "tallow: %s has no chat template; the text is continued as with --raw\n",
                 text.what.c_str());
  }
  return answer_once(talker, prompt);
}

}  // namespace tallow::app
