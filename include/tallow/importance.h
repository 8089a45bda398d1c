// Importance matrices: the activations that a model's weights are multiplied with, over a text.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace tallow {

struct ImportanceOptions {
  int64_t chunk = 512;     ///< tokens of each piece of text, which the model sees by itself
  int64_t max_chunks = 0;  ///< 0: all
  bool output = false;     ///< measure output.weight, too
  std::function<void(int64_t done, int64_t total)> progress = {};  ///< in tokens
};

/// Runs the model of a GGUF file over the text in a file, and writes for each weight of its layers
/// the sums of the squares of its inputs (`NAME.in_sum2`, [k]) and their number (`NAME.counts`), as
/// llama-imatrix does. Throws Error for a text that is shorter than a piece.
void measure_importance(const std::string& model, const std::string& text, const std::string& out,
                        const ImportanceOptions& options = {});

}  // namespace tallow
