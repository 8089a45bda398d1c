// From command-line options to the library's: what the subcommands share.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "options.h"
#include "tallow/language_model.h"

namespace tallow::app {

/// The path of a model: itself, or, of a name on the hub, where it was downloaded to, with progress
/// bars on a terminal. Without `weights`, what tokenizes for it is enough.
std::string find_model(const std::string& name, bool weights = true);
/// Opens the model, with a spinner on a terminal, after setting the number of threads.
std::unique_ptr<LanguageModel> open_model(const ModelOptions& options);
std::optional<DType> cache_dtype(const ModelOptions& options);
/// Opens the drafter that the options name, or none.
std::unique_ptr<Drafter> open_drafter(const ModelOptions& options, const LanguageModel& model);
SessionOptions session_options(const ModelOptions& options, const Drafter* drafter = nullptr);

/// The model's default sampling with the flags over it, and a random seed if none was given.
/// Throws Error for a malformed --logit-bias.
SamplingOptions sampling_options(const SamplingFlags& flags, SamplingOptions defaults);

/// What a chat's template is told: paths that begin in `folder`, thinking on or off.
ChatRequest chat_request(bool think, std::string folder = "");

/// "1,2,3" as ids. Throws Error naming what is no id.
std::vector<int32_t> parse_tokens(std::string_view text);

}  // namespace tallow::app
