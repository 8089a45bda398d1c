// What the two directions of Gemma's conversion share.
#pragma once

#include <string>

#include "convert/form.h"
#include "models/causal_lm/gemma.h"

namespace tallow::converting {

/// Tensors that stand alone in GGUF: divisors of the angles of layers that do not slide.
constexpr const char* kRopeDivisors = "rope_freqs.weight";
/// What llama.cpp divides the angles of pairs that do not turn by.
constexpr float kStill = 1e30F;
/// Matrices that are numbered in folders, and one stack in GGUF.
constexpr const char* kStacks[] = {"model.altup_projections", "model.altup_unembed_projections"};

/// Which of the family: "gemma", "gemma2", "gemma3", "gemma3n", "gemma4"; the drafters of the last
/// are of its kind.
struct GemmaKind {
  explicit GemmaKind(const GgufArchitecture& architecture)
      : assistant(architecture.gguf == std::string_view("gemma4-assistant")),
        name(assistant ? "gemma4" : architecture.gguf),
        first(name == "gemma"),
        second(name == "gemma2"),
        third(name == "gemma3"),
        nano(name == "gemma3n"),
        fourth(name == "gemma4") {}
  bool assistant;
  std::string_view name;
  bool first, second, third, nano, fourth;
  bool lists_layers() const { return nano || fourth; }
};

/// The first layer of a kind, or null.
const GemmaLayerConfig* first_layer(const GemmaConfig& config, bool sliding);
/// Every how many layers one does not slide; 0 where there is no such number.
int64_t sliding_period(const GemmaConfig& config);

}  // namespace tallow::converting
