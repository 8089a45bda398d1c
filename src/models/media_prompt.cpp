// From messages with images, sounds and videos to a prompt: what the content lists name is read,
// and each mark that the chat template left is spelled out as the run of soft tokens it stands for.
#include <algorithm>
#include <cstdio>
#include <optional>

#include "tallow/error.h"
#include "tallow/image.h"
#include "tallow/prompt.h"

namespace tallow {
namespace {

constexpr const char* kKinds[] = {"image", "audio", "video"};

std::string name_of(Media::Kind kind) { return kKinds[static_cast<size_t>(kind)]; }

std::optional<Media::Kind> kind_of(const Json& item) {
  const Json* type = item.find("type");
  if (!type || !type->is_string()) return {};
  for (const Media::Kind kind : {Media::Kind::image, Media::Kind::audio, Media::Kind::video}) {
    if (type->string() == name_of(kind)) return kind;
  }
  return {};
}

/// The path that a content item names: {"path": ...}, or as transformers also takes it.
std::string path_of(const Json& item, const std::string& kind, const std::string& folder) {
  const Json* path = nullptr;
  for (const std::string& key : {std::string("path"), kind, std::string("url")}) {
    if (!path) path = item.find(key);
  }
  if (!path || !path->is_string() || path->string().empty()) {
    fail("chat: an item of type ", kind, " names no file; give it as {\"type\": \"", kind,
         "\", \"path\": \"...\"}");
  }
  std::string name = path->string();
  if (name.starts_with("file://")) return name.substr(7);
  if (name.find("://") != name.npos) {
    fail("chat: ", name, ": is not fetched; download it and give its path");
  }
  return name.starts_with('/') || folder.empty() ? name : folder + "/" + name;
}

Media read_item(const Json& item, Media::Kind kind, const ChatRequest& request,
                const FrameSampling& sampling) {
  Media media;
  media.kind = kind;
  media.soft_tokens = kind == Media::Kind::image ? request.image_tokens : 0;
  if (const Json* tokens = item.find("tokens")) {
    if (!tokens->is_integer()) fail("chat: \"tokens\": ", tokens->dump(), " is not a number");
    media.soft_tokens = tokens->integer();
  }
  const std::string path = path_of(item, name_of(kind), request.folder);
  switch (kind) {
    case Media::Kind::image: media.frames.push_back(read_image(path)); break;
    case Media::Kind::audio: media.audio = read_audio(path); break;
    case Media::Kind::video: {
      Frames video = read_frames(path, sampling);
      media.frames = std::move(video.frames);
      media.seconds = std::move(video.seconds);
      break;
    }
  }
  return media;
}

/// A text that spells out marks, and what the runs of soft tokens in it hold, in order.
struct Spelled {
  std::string text;
  std::vector<SoftRun> runs;

  void add(const std::string& begin, const std::string& mark, const std::string& end, SoftRun run) {
    text += begin;
    for (int64_t i = 0; i < run.count; ++i) text += mark;
    text += end;
    runs.push_back(std::move(run));
  }
};

SoftRun image_run(ImageInput input) {
  const int64_t count = input.soft_tokens;
  return {.count = count, .input = std::move(input)};
}

SoftRun audio_run(const Audio& audio, const CausalLM& network) {
  const AudioEncoder& ears = *network.sounds();
  AudioInput input = ears.prepare(to_mono(audio, ears.sample_rate()));
  const int64_t count = input.soft_tokens;
  return {.count = count, .input = std::move(input)};
}

void spell(const Media& media, const SoftMarks& marks, const CausalLM& network, Spelled& out) {
  switch (media.kind) {
    case Media::Kind::image:
      out.add(marks.image_begin, marks.image, marks.image_end,
              image_run(network.images()->prepare(media.frames.at(0), media.soft_tokens)));
      return;
    case Media::Kind::audio:
      out.add(marks.audio_begin, marks.audio, marks.audio_end, audio_run(media.audio, network));
      return;
    case Media::Kind::video:
      for (size_t i = 0; i < media.frames.size(); ++i) {
        const auto second = static_cast<int64_t>(media.seconds.at(i));
        char time[32];
        std::snprintf(time, sizeof time, "%s%02lld:%02lld ", i > 0 ? " " : "",
                      static_cast<long long>(second / 60), static_cast<long long>(second % 60));
        out.text += time;
        out.add(marks.image_begin, marks.video, marks.image_end,
                image_run(network.images()->prepare_frame(media.frames[i], media.soft_tokens)));
      }
      return;
  }
}

/// The first mark in `text` from `at` on: where it is and what it stands for.
struct Mark {
  size_t at = std::string::npos;
  Media::Kind kind = Media::Kind::image;
  size_t length = 0;
};

Mark next_mark(std::string_view text, size_t from, const SoftMarks& marks) {
  const std::string* texts[] = {&marks.image, &marks.audio, &marks.video};
  Mark first;
  for (size_t kind = 0; kind < std::size(texts); ++kind) {
    if (texts[kind]->empty()) continue;
    const size_t at = text.find(*texts[kind], from);
    if (at < first.at) first = {at, static_cast<Media::Kind>(kind), texts[kind]->size()};
  }
  return first;
}

Spelled spell_out(std::string_view text, std::span<const Media> media, const SoftMarks& marks,
                  const CausalLM& network) {
  Spelled out;
  std::vector<const Media*> left;
  for (const Media& one : media) left.push_back(&one);
  size_t at = 0;
  for (Mark mark = next_mark(text, 0, marks); mark.at != text.npos;
       mark = next_mark(text, at, marks)) {
    out.text += text.substr(at, mark.at - at);
    at = mark.at + mark.length;
    const auto next = std::find_if(left.begin(), left.end(),
                                   [&](const Media* one) { return one->kind == mark.kind; });
    if (next == left.end()) {
      fail("prompt: has more \"", text.substr(mark.at, mark.length), "\" than ", name_of(mark.kind),
           " inputs; such a mark cannot be part of the text");
    }
    spell(**next, marks, network, out);
    left.erase(next);
  }
  out.text += text.substr(at);
  if (!left.empty()) {
    fail("prompt: ", left.size(), " of ", media.size(), " images, sounds and videos have no place ",
         "in it: the chat template of this model passes over ", name_of(left[0]->kind), " items");
  }
  return out;
}

/// Finds each run among the tokens, where its mark is repeated.
void locate(const std::vector<int32_t>& tokens, const SoftMarks& marks, const Tokenizer& tokenizer,
            std::vector<SoftRun>& runs) {
  std::vector<int32_t> ids;
  for (const std::string* mark : {&marks.image, &marks.audio, &marks.video}) {
    if (const auto id = tokenizer.token_id(*mark); id && !mark->empty()) ids.push_back(*id);
  }
  int64_t at = 0;
  const int64_t size = std::ssize(tokens);
  const auto is_mark = [&](int64_t t) {
    return std::find(ids.begin(), ids.end(), tokens[static_cast<size_t>(t)]) != ids.end();
  };
  for (SoftRun& run : runs) {
    while (at < size && !is_mark(at)) ++at;
    run.start = at;
    while (at < size && at < run.end() && is_mark(at)) ++at;
    if (at != run.end()) {
      fail("prompt: the tokenizer does not keep the marks of soft tokens apart from the text");
    }
  }
}

}  // namespace

std::vector<Media> read_media(const Json& messages, const ChatRequest& request,
                              const FrameSampling& sampling) {
  std::vector<Media> media;
  if (!messages.is_array()) return media;
  for (const Json& message : messages.items()) {
    const Json* content = message.find("content");
    if (!content || !content->is_array()) continue;
    for (const Json& item : content->items()) {
      if (const auto kind = kind_of(item))
        media.push_back(read_item(item, *kind, request, sampling));
    }
  }
  return media;
}

SoftMarks::SoftMarks(const Config& config, const Tokenizer& tokenizer) {
  const auto text = [&](std::initializer_list<const char*> keys, const char* usual) {
    for (const char* key : keys) {
      if (!config.has(key)) continue;
      const int64_t id = config.integer(key, 0);
      return id < tokenizer.vocab_size() ? tokenizer.token(static_cast<int32_t>(id)) : "";
    }
    return std::string(tokenizer.token_id(usual) ? usual : "");
  };
  image = text({"image_token_id", "image_token_index"}, "<|image|>");
  image_begin = text({"boi_token_id", "boi_token_index"}, "<|image>");
  image_end = text({"eoi_token_id", "eoi_token_index"}, "<image|>");
  video = text({"video_token_id", "video_token_index"}, "<|video|>");
  audio = text({"audio_token_id", "audio_token_index"}, "<|audio|>");
  audio_begin = text({"boa_token_id", "boa_token_index"}, "<|audio>");
  audio_end = text({"eoa_token_id", "eoa_token_index"}, "<audio|>");
}

Prompt make_prompt(std::string_view text, std::span<const Media> media, const SoftMarks& marks,
                   const CausalLM& network, const Tokenizer& tokenizer, bool add_special_tokens) {
  Spelled spelled = spell_out(text, media, marks, network);
  Prompt prompt(tokenizer.encode(spelled.text, add_special_tokens));
  prompt.runs = std::move(spelled.runs);
  locate(prompt.tokens, marks, tokenizer, prompt.runs);
  return prompt;
}

}  // namespace tallow
