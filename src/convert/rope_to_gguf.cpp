// Rope scaling as GGUF's keys say it.
#include <cmath>

#include "convert/form.h"
#include "formats/byte_reader.h"
#include "tallow/error.h"

namespace tallow::converting {
namespace {

/// The factor on cosine and sine that transformers computes where none is given.
double yarn_attention(const Config& rope, double factor) {
  const auto magnitude = [&](double mscale) {
    return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1;
  };
  if (rope.has("attention_factor")) return rope.number("attention_factor");
  const double mscale = rope.number_or("mscale", 0), all = rope.number_or("mscale_all_dim", 0);
  return mscale != 0 && all != 0 ? magnitude(mscale) / magnitude(all) : magnitude(1);
}

double longrope_attention(const Config& rope, double factor, int64_t original) {
  if (rope.has("attention_factor")) return rope.number("attention_factor");
  return factor <= 1 ? 1
                     : std::sqrt(1 + std::log(factor) / std::log(static_cast<double>(original)));
}

}  // namespace

Config rope_section(const Config& config) {
  Json section = Json::object();
  for (const char* name : {"rope_scaling", "rope_parameters"}) {
    const Json* found = config.find(name);
    if (found && found->is_object()) section = *found;
  }
  const Json* type = section.find("rope_type");
  if (!type) type = section.find("type");
  section.set("rope_type", type ? *type : Json("default"));
  return Config(std::move(section), config.what() + ": rope_scaling");
}

double rope_theta(const Config& config) {
  return rope_section(config).number_or("rope_theta", config.number_or("rope_theta", 10000));
}

void add_rope_scaling(const FormSource& source, const Config& config, GgufMetadata& out) {
  const Config rope = rope_section(config);
  const std::string type = rope.string("rope_type");
  if (type == "default" || type == "llama3") return;
  if (type != "linear" && type != "yarn" && type != "longrope") {
    fail(config.what(), ": rope_type ", quoted(type),
         " has no GGUF form for this architecture; linear, yarn, longrope and llama3 have");
  }
  if (!rope.boolean_or("truncate", true)) {
    fail(rope.what(), ": truncate false has no GGUF form");
  }
  const int64_t positions = config.integer_or("max_position_embeddings", 2048);
  const bool own = config.has("original_max_position_embeddings");
  const int64_t original = own ? config.integer("original_max_position_embeddings")
                               : rope.integer_or("original_max_position_embeddings", positions, 2);
  const double factor = type == "linear" || rope.has("factor")
                            ? rope.number("factor")
                            : static_cast<double>(positions) / static_cast<double>(original);
  if (!(factor > 0)) fail(rope.what(), ": factor ", factor, " is not positive");
  const auto set = [&](const std::string& name, double value) {
    out.set_f32(source.key("rope.scaling." + name), static_cast<float>(value));
  };
  out.set_string(source.key("rope.scaling.type"), type);
  // With longrope's divisors llama.cpp would divide by the factor, too.
  if (type != "longrope") set("factor", factor);
  if (own || rope.has("original_max_position_embeddings")) {
    out.set_u32(source.key("rope.scaling.original_context_length"),
                static_cast<uint32_t>(original));
  }
  if (type == "linear") return;
  if (type == "longrope") return set("attn_factor", longrope_attention(rope, factor, original));
  // llama.cpp multiplies by 1 + 0.1 ln(factor).
  const double usual = 1 + 0.1 * std::log(factor), wanted = yarn_attention(rope, factor);
  if (wanted != usual) set("attn_factor", wanted / usual);
  for (const char* beta : {"beta_fast", "beta_slow"}) {
    if (rope.has(beta)) set(str("yarn_", beta), rope.number(beta));
  }
}

}  // namespace tallow::converting
