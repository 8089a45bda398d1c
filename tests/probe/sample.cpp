// tallow_probe sample OPTIONS.json: reads f32 logits from stdin and writes to stdout. The options
// are those of SamplingOptions, with "vocab", "prompt" and "generated" (lists of ids), and "draws":
// 0 writes the distribution as f32, n writes n ids drawn one after the other as i32.
#include <cstdio>
#include <vector>

#include "tallow/error.h"
#include "tallow/json.h"
#include "tallow/sampling.h"

namespace probe {

using tallow::Json;

static tallow::SamplingOptions options_of(const Json& json) {
  tallow::SamplingOptions o;
  const auto real = [&](const char* key, float& value) {
    if (const Json* v = json.find(key)) value = static_cast<float>(v->number());
  };
  real("temperature", o.temperature);
  real("top_p", o.top_p);
  real("min_p", o.min_p);
  real("typical_p", o.typical_p);
  real("repetition_penalty", o.repetition_penalty);
  real("presence_penalty", o.presence_penalty);
  real("frequency_penalty", o.frequency_penalty);
  if (const Json* v = json.find("top_k")) o.top_k = v->integer();
  if (const Json* v = json.find("seed")) o.seed = static_cast<uint64_t>(v->integer());
  if (const Json* v = json.find("logit_bias")) {
    for (const Json& pair : v->items()) {
      o.logit_bias.emplace_back(static_cast<int32_t>(pair.items().at(0).integer()),
                                static_cast<float>(pair.items().at(1).number()));
    }
  }
  return o;
}

static std::vector<int32_t> ids(const Json& json, const char* key) {
  std::vector<int32_t> result;
  if (const Json* list = json.find(key)) {
    for (const Json& id : list->items()) result.push_back(static_cast<int32_t>(id.integer()));
  }
  return result;
}

int sample(int argc, char** argv) {
  if (argc != 2) tallow::fail("usage: tallow_probe sample OPTIONS.json < logits.f32");
  const Json json = Json::read(argv[1]);
  std::vector<float> logits(static_cast<size_t>(json.at("vocab").integer()));
  const size_t n = std::fread(logits.data(), sizeof(float), logits.size(), stdin);
  if (n != logits.size()) tallow::fail("stdin: ", n, " logits, expected ", logits.size());
  tallow::Sampler sampler(options_of(json), json.at("vocab").integer());
  sampler.accept_prompt(ids(json, "prompt"));
  for (const int32_t id : ids(json, "generated")) sampler.accept(id);
  const int64_t draws = json.at("draws").integer();
  if (draws == 0) {
    const std::vector<float> p = sampler.probabilities(logits);
    std::fwrite(p.data(), sizeof(float), p.size(), stdout);
    return 0;
  }
  std::vector<int32_t> drawn(static_cast<size_t>(draws));
  for (int32_t& id : drawn) id = sampler.sample(logits);
  std::fwrite(drawn.data(), sizeof(int32_t), drawn.size(), stdout);
  return 0;
}

}  // namespace probe
