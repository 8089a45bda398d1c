// Opening a language model: the network, the text parts, and what the configuration says of both.
#include "tallow/language_model.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <sys/stat.h>

#include "tallow/error.h"
#include "tallow/hub.h"

namespace tallow {
namespace {

bool exists(const std::string& path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0;
}

std::string cache_folder() {
  const auto set = [](const char* name) -> const char* {
    const char* value = std::getenv(name);
    return value && *value ? value : nullptr;
  };
  if (const char* folder = set("TALLOW_CACHE")) return folder;
  if (const char* folder = set("XDG_CACHE_HOME")) return std::string(folder) + "/tallow";
  if (const char* home = set("HOME")) return std::string(home) + "/.cache/tallow";
  fail("smollm2: there is no cache folder to look in; set TALLOW_CACHE or HOME");
}

/// eos_token_id: an id or a list of them.
void add_end_tokens(const Config& config, std::vector<int32_t>& out) {
  const Json* value = config.find("eos_token_id");
  if (!value || value->is_null()) return;
  const auto add = [&](const Json& id) {
    if (!id.is_integer())
      fail(config.what(), ": eos_token_id: is not a token id or a list of them");
    const int64_t token = id.integer();
    if (token >= 0 && token <= INT32_MAX) out.push_back(static_cast<int32_t>(token));
  };
  if (value->is_array()) {
    for (const Json& id : value->items()) add(id);
  } else {
    add(*value);
  }
}

SamplingOptions sampling_of(const Config& generation) {
  const auto number = [&](const char* key, float fallback) {
    return static_cast<float>(generation.number_or(key, fallback));
  };
  SamplingOptions options;
  options.repetition_penalty = number("repetition_penalty", 1);
  bool said = generation.has("do_sample");
  for (const char* key : {"temperature", "top_k", "top_p", "min_p", "typical_p"}) {
    said = said || generation.has(key);
  }
  if (!generation.boolean_or("do_sample", true)) {
    options.temperature = 0;
  } else if (said) {
    options.temperature = number("temperature", 1);
    options.top_k = generation.integer_or("top_k", 0, 0);
    options.top_p = number("top_p", 1);
    options.min_p = number("min_p", 0);
    options.typical_p = number("typical_p", 1);
  } else {
    options.temperature = 0.6F;
    options.top_p = 0.9F;
  }
  options.validate();
  return options;
}

GgufVocabulary vocabulary_of(const GgufFile& file) {
  const auto key = [](const char* name) { return str("tokenizer.ggml.", name); };
  const auto model = file.string(key("model"));
  if (!model) fail(file.path(), ": holds no tokenizer (no tokenizer.ggml.model)");
  GgufVocabulary v;
  v.model = *model;
  v.pre = file.string(key("pre")).value_or("");
  v.tokens = file.strings(key("tokens"));
  v.merges = file.strings(key("merges"));
  v.scores = file.floats(key("scores"));
  v.types = file.integers(key("token_type"));
  v.bos = file.integer(key("bos_token_id"));
  v.eos = file.integer(key("eos_token_id"));
  v.eot = file.integer(key("eot_token_id"));
  v.unk = file.integer(key("unknown_token_id"));
  v.pad = file.integer(key("padding_token_id"));
  v.cls = file.integer(key("cls_token_id"));
  v.sep = file.integer(key("seperator_token_id"));
  if (const GgufValue* map = file.find_value(key("precompiled_charsmap")); map && map->is_array) {
    v.charsmap = {reinterpret_cast<const char*>(map->data.data()), map->data.size()};
  }
  v.add_bos = file.boolean(key("add_bos_token"));
  v.add_eos = file.boolean(key("add_eos_token"));
  v.remove_extra_whitespaces = file.boolean(key("remove_extra_whitespaces"));
  v.add_space_prefix = file.boolean(key("add_space_prefix"));
  return v;
}

/// Which tokens of which prompts one pass takes.
class Passes {
 public:
  Passes(std::span<const Prompt> prompts, KvCache& cache, bool last_only)
      : prompts_(prompts), last_only_(last_only) {
    for (size_t i = 0; i < prompts.size(); ++i) ids_.push_back(cache.create());
  }
  /// About `budget` tokens, in order; false at the end.
  bool next(int64_t budget) {
    chunks.clear();
    parts.clear();
    while (budget > 0 && at_ < prompts_.size()) {
      const Prompt& prompt = prompts_[at_];
      const PromptPart part{&prompt, done_, prompt.pass_end(done_, budget)};
      chunks.push_back({.sequence = ids_[at_],
                        .tokens = part.tokens(),
                        .all_logits = !last_only_,
                        .no_logits = last_only_ && part.end < prompt.size()});
      parts.push_back(part);
      budget -= part.end - part.begin;
      done_ = part.end;
      if (done_ == prompt.size()) ++at_, done_ = 0;
    }
    return !chunks.empty();
  }

  std::vector<KvCache::Chunk> chunks;
  std::vector<PromptPart> parts;  // what each chunk is of

 private:
  std::span<const Prompt> prompts_;
  bool last_only_;
  std::vector<KvCache::Sequence> ids_;
  size_t at_ = 0;
  int64_t done_ = 0;
};

}  // namespace

std::string resolve_model(const std::string& name_or_path) {
  if (name_or_path != "smollm2") {
    if (exists(name_or_path)) return name_or_path;
    const int error = errno;
    if (const auto name = hub::parse_model_name(name_or_path)) {
      return hub::fetch_model(*name);
    }
    fail(name_or_path, ": ", std::strerror(error),
         "; give a model's folder, a .gguf file, a name on the hub (org/name), or smollm2");
  }
  std::string path = cache_folder() + "/smollm2/model.gguf";
  if (!exists(path)) {
    fail("smollm2: ", path, " is not there; scripts/fetch-model.sh or `make run` fetches it");
  }
  return path;
}

TextModel TextModel::open(const std::string& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) == 0 && !S_ISDIR(status.st_mode)) {
    return open(*GgufFile::open(path));
  }
  return {Tokenizer::from_folder(path), ChatTemplate::from_folder(path), path};
}

TextModel TextModel::open(const GgufFile& file) {
  TextModel text{Tokenizer::from_gguf(vocabulary_of(file), file.path()), {}, file.path()};
  if (const auto source = file.string("tokenizer.chat_template")) {
    text.chat_template.emplace(*source, file.path() + ": chat template");
  }
  return text;
}

std::string TextModel::render_chat(const Json& messages, const ChatRequest& request) const {
  if (!chat_template) {
    fail(what, ": has no chat template; give plain text (--raw or --text) instead of a chat");
  }
  if (!messages.is_array() || messages.items().empty()) {
    fail("chat: is not a list of messages, [{\"role\": \"user\", \"content\": \"...\"}]");
  }
  ChatOptions options;
  options.add_generation_prompt = request.add_generation_prompt;
  options.tools = request.tools;
  options.variables = request.variables;
  options.bos_token = tokenizer.bos_token();
  options.eos_token = tokenizer.eos_token();
  return chat_template->render(messages, options);
}

LanguageModel::LanguageModel(const std::string& path)
    : LanguageModel(open_checkpoint(resolve_model(path))) {}

LanguageModel::LanguageModel(const Checkpoint& checkpoint)
    : path_(checkpoint.weights.path()),
      gguf_(checkpoint.gguf),
      config_(checkpoint.config),
      network_(load_causal_lm(checkpoint)),
      sampling_(sampling_of(checkpoint.generation)) {
  add_end_tokens(checkpoint.config, end_tokens_);
  add_end_tokens(checkpoint.generation, end_tokens_);
}

const TextModel& LanguageModel::text() const {
  std::call_once(text_once_, [this] {
    text_.emplace(gguf_ ? TextModel::open(*gguf_) : TextModel::open(path_));
  });
  return *text_;
}

bool LanguageModel::is_end(int32_t token) const {
  return std::find(end_tokens_.begin(), end_tokens_.end(), token) != end_tokens_.end() ||
         text().tokenizer.is_end(token);
}

void LanguageModel::check_tokens(std::span<const int32_t> tokens) const {
  for (const int32_t token : tokens) {
    if (token < 0 || token >= network_->vocab_size()) {
      fail("token ", token, " is outside the vocabulary of ", network_->vocab_size(), " tokens (",
           path_, ")");
    }
  }
}

std::unique_ptr<Drafter> LanguageModel::open_drafter(const std::string& path) const {
  return load_drafter(open_checkpoint(resolve_model(path)), *network_);
}

Prompt LanguageModel::chat_prompt(const Json& messages, const ChatRequest& request) const {
  const Tokenizer& tokenizer = text().tokenizer;
  const FrameSampling sampling =
      network_->images() ? network_->images()->frame_sampling() : FrameSampling();
  const std::vector<Media> media = read_media(messages, request, sampling);
  for (const Media& one : media) {
    const bool sound = one.kind == Media::Kind::audio;
    if (!(sound ? network_->sounds() != nullptr : network_->images() != nullptr)) {
      fail(path_, ": takes no ", sound ? "sounds" : "images", "; ask it with text alone");
    }
  }
  const bool takes_media = network_->images() || network_->sounds();
  return make_prompt(text().render_chat(messages, request), media,
                     takes_media ? SoftMarks(config_, tokenizer) : SoftMarks(), *network_,
                     tokenizer, /*add_special_tokens=*/false);
}

Tensor LanguageModel::logits(std::span<const Prompt> prompts, bool last_only, int64_t chunk,
                             std::optional<DType> cache_dtype) const {
  KvCacheSpec spec = network_->cache_spec();
  spec.dtype = cache_dtype.value_or(spec.dtype);
  int64_t tokens = 0, capacity = 0;
  for (const Prompt& prompt : prompts) {
    if (prompt.size() == 0) fail("logits: a sequence is empty; give at least one token");
    check_tokens(prompt.tokens);
    tokens += prompt.size();
    capacity += (prompt.size() + spec.page_size - 1) / spec.page_size * spec.page_size;
  }
  const int64_t vocab = network_->vocab_size();
  const int64_t rows = last_only ? std::ssize(prompts) : tokens;
  Tensor result = Tensor::empty({rows, vocab});
  KvCache cache(spec, capacity);
  Passes passes(prompts, cache, last_only);
  float* out = result.data<float>();
  while (passes.next(chunk)) {
    Batch batch = cache.append(passes.chunks);
    place_soft_tokens(passes.parts, *network_, batch);
    const Tensor part = network_->forward(batch, cache).contiguous();
    if (part.numel() > 0) std::memcpy(out, part.raw(), static_cast<size_t>(part.nbytes()));
    out += part.numel();
  }
  return result;
}

HiddenStates LanguageModel::hidden_states(const Prompt& prompt) const {
  if (prompt.size() == 0) fail("hidden_states: the sequence is empty; give at least one token");
  check_tokens(prompt.tokens);
  KvCache cache(network_->cache_spec(), prompt.size());
  const KvCache::Chunk chunk{
      .sequence = cache.create(), .tokens = prompt.tokens, .all_logits = true};
  const PromptPart whole{&prompt, 0, prompt.size()};
  Batch batch = cache.append({&chunk, 1});
  place_soft_tokens({&whole, 1}, *network_, batch);
  HiddenStates result;
  batch.hidden_states = &result.states;
  batch.layer_inputs = &result.layer_inputs;
  network_->states(batch, cache);
  return result;
}

}  // namespace tallow
