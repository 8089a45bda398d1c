// The functions that make models, one per architecture file.
#pragma once

#include "tallow/models.h"

namespace tallow {

std::unique_ptr<CausalLM> make_gemma(const Checkpoint& checkpoint);
std::unique_ptr<CausalLM> make_gemma4(const Checkpoint& checkpoint);
std::unique_ptr<CausalLM> make_gemma4_unified(const Checkpoint& checkpoint);
std::unique_ptr<CausalLM> make_gemma3n(const Checkpoint& checkpoint);
std::unique_ptr<CausalLM> make_llama(const Checkpoint& checkpoint);
std::unique_ptr<CausalLM> make_qwen2(const Checkpoint& checkpoint);

std::unique_ptr<Drafter> make_gemma4_assistant(const Checkpoint& checkpoint, const CausalLM& large);

}  // namespace tallow
