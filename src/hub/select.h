// Which files of a repository are wanted.
#pragma once

#include "hub/listing.h"
#include "tallow/hub.h"

namespace tallow::hub {

/// The entries that match a name or glob of `include` (all, if there is none) and none of
/// `exclude`. Throws HubError for a name without globs that the listing lacks, and when nothing is
/// left.
Listing select_files(const Listing& listing, const std::vector<std::string>& include,
                     const std::vector<std::string>& exclude, const Repo& repo);

/// What is needed to run the model: its configuration and tokenizer, and its weights once, where
/// they lie in several forms: safetensors, else a GGUF file, else PyTorch's. Without weights only
/// the former, where there is a tokenizer among it.
Listing select_model(const Listing& listing, bool with_weights = true);

/// The GGUF file that `file` means (a name, a glob or a quantization such as Q4_K_M; empty for the
/// usual choice), with all parts where it is split; empty when there is none.
Listing select_gguf(const Listing& listing, const std::string& file);
/// The same; throws HubError, naming those that there are, when there is none.
Listing select_named_gguf(const Listing& listing, const std::string& file, const Repo& repo);

}  // namespace tallow::hub
