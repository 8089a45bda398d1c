// Opening a model and reading the values that CLI11 leaves as text.
#include "model.h"

#include <charconv>

#include <sys/random.h>
#include <unistd.h>

#include "progress.h"
#include "tallow/buffer.h"
#include "tallow/error.h"
#include "tallow/hub.h"
#include "tallow/parallel.h"

namespace tallow::app {
namespace {

/// All of `text` as a number, or nothing.
template <class T>
std::optional<T> parse_number(std::string_view text) {
  T value{};
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  if (result.ec != std::errc() || result.ptr != end) return {};
  return value;
}

std::pair<int32_t, float> parse_bias(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals != text.npos) {
    const auto token = parse_number<int32_t>(text.substr(0, equals));
    const auto value = parse_number<float>(text.substr(equals + 1));
    if (token && value) return {*token, *value};
  }
  fail("--logit-bias: ", text, " is not ID=VALUE, as in 42=-5");
}

uint64_t random_seed() {
  uint32_t seed = 0;
  if (getrandom(&seed, sizeof seed, 0) != sizeof seed) seed = 1;
  return seed;
}

}  // namespace

std::string find_model(const std::string& name, bool weights) {
  const auto on_hub =
      ::access(name.c_str(), F_OK) == 0 ? std::nullopt : hub::parse_model_name(name);
  return on_hub ? hub::fetch_model(*on_hub, hub::terminal_progress(), weights)
                : resolve_model(name);
}

std::unique_ptr<LanguageModel> open_model(const ModelOptions& options) {
  if (options.threads > 0) set_num_threads(options.threads);
  if (options.weight_gigabytes) {
    set_weight_memory(static_cast<int64_t>(*options.weight_gigabytes * 1e9));
  }
  const std::string path = find_model(options.model);
  Progress progress("loading " + options.model);
  if (options.towers.empty()) return std::make_unique<LanguageModel>(path);
  return std::make_unique<LanguageModel>(with_towers(open_checkpoint(path), options.towers));
}

std::optional<DType> cache_dtype(const ModelOptions& options) {
  return options.cache_type.empty() ? std::nullopt : dtype_from_name(options.cache_type);
}

std::unique_ptr<Drafter> open_drafter(const ModelOptions& options, const LanguageModel& model) {
  if (options.drafter.empty()) return nullptr;
  const std::string path = find_model(options.drafter);
  Progress progress("loading " + options.drafter);
  return model.open_drafter(path);
}

SessionOptions session_options(const ModelOptions& options, const Drafter* drafter) {
  return {.context = options.context,
          .chunk = options.chunk,
          .cache_dtype = cache_dtype(options),
          .draft = {.drafter = drafter, .most = options.draft_tokens}};
}

SamplingOptions sampling_options(const SamplingFlags& flags, SamplingOptions defaults) {
  SamplingOptions o = std::move(defaults);
  o.temperature = flags.temperature.value_or(o.temperature);
  o.top_k = flags.top_k.value_or(o.top_k);
  o.top_p = flags.top_p.value_or(o.top_p);
  o.min_p = flags.min_p.value_or(o.min_p);
  o.typical_p = flags.typical_p.value_or(o.typical_p);
  o.repetition_penalty = flags.repetition_penalty.value_or(o.repetition_penalty);
  o.presence_penalty = flags.presence_penalty.value_or(o.presence_penalty);
  o.frequency_penalty = flags.frequency_penalty.value_or(o.frequency_penalty);
  for (const std::string& text : flags.logit_bias) o.logit_bias.push_back(parse_bias(text));
  o.seed = flags.seed ? *flags.seed : random_seed();
  o.validate();
  return o;
}

ChatRequest chat_request(bool think, std::string folder) {
  ChatRequest request;
  request.folder = std::move(folder);
  if (think) {
    request.variables = Json::object();
    request.variables.set("enable_thinking", true);
  }
  return request;
}

std::vector<int32_t> parse_tokens(std::string_view text) {
  std::vector<int32_t> tokens;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    std::string_view part = text.substr(begin, end - begin);
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    const auto token = parse_number<int32_t>(part);
    if (!token) fail("--tokens: \"", part, "\" is not a token id; give ids as 1,2,3");
    tokens.push_back(*token);
    begin = end + 1;
  }
  return tokens;
}

}  // namespace tallow::app
