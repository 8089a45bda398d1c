// Which function makes which architecture: a row each, aliases included.
#include "models/registry.h"

#include "tallow/autograd.h"
#include "tallow/error.h"

namespace tallow {
namespace {

struct Row {
  const char* architecture;
  std::unique_ptr<CausalLM> (*make)(const Checkpoint&);
};

constexpr Row kCausalLMs[] = {
    {"Gemma2ForCausalLM", make_gemma},
    {"Gemma3ForCausalLM", make_gemma},
    {"Gemma3ForConditionalGeneration", make_gemma},
    {"Gemma3nForCausalLM", make_gemma3n},
    {"Gemma3nForConditionalGeneration", make_gemma3n},
    {"Gemma4ForCausalLM", make_gemma4},
    {"Gemma4ForConditionalGeneration", make_gemma4},
    {"Gemma4UnifiedForCausalLM", make_gemma4_unified},
    {"Gemma4UnifiedForConditionalGeneration", make_gemma4_unified},
    {"GemmaForCausalLM", make_gemma},
    {"LlamaForCausalLM", make_llama},
    {"LLaMAForCausalLM", make_llama},  // the first conversions' spelling
    {"Qwen2ForCausalLM", make_qwen2},
};

/// Drafters are opened beside the model that they draft for.
constexpr const char* kAssistants = "Gemma4AssistantForCausalLM, Gemma4UnifiedAssistantForCausalLM";

bool is_assistant(const std::string& architecture) {
  return architecture == "Gemma4AssistantForCausalLM" ||
         architecture == "Gemma4UnifiedAssistantForCausalLM";
}

}  // namespace

std::unique_ptr<Drafter> load_drafter(const Checkpoint& checkpoint, const CausalLM& large) {
  if (is_assistant(checkpoint.architecture)) return make_gemma4_assistant(checkpoint, large);
  fail(checkpoint.config.what(), ": architecture '", checkpoint.architecture,
       "' is no drafter; known are ", kAssistants);
}

std::unique_ptr<CausalLM> load_causal_lm(const Checkpoint& checkpoint) {
  for (const Row& row : kCausalLMs) {
    if (checkpoint.architecture == row.architecture) return row.make(checkpoint);
  }
  if (is_assistant(checkpoint.architecture)) {
    fail(checkpoint.config.what(), ": is a drafter; give it with --draft beside its large model");
  }
  std::string known;
  for (const std::string& name : causal_lm_architectures()) {
    known += (known.empty() ? "" : ", ") + name;
  }
  fail(checkpoint.config.what(), ": architecture '", checkpoint.architecture,
       "' is unknown; known are ", known);
}

std::vector<std::string> causal_lm_architectures() {
  std::vector<std::string> names;
  for (const Row& row : kCausalLMs) names.emplace_back(row.architecture);
  return names;
}

}  // namespace tallow
