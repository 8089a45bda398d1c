// `tallow logits`: a model's logits for given tokens, as a .npy file that other tools read.
#include "model.h"
#include "process.h"
#include "progress.h"
#include "tallow/error.h"
#include "tallow/npy.h"

namespace tallow::app {
namespace {

std::vector<std::vector<int32_t>> sequences(const LogitsOptions& options,
                                            const LanguageModel& model) {
  if (options.text) return {model.text().tokenizer.encode(*options.text)};
  if (options.chat) {
    const std::string prompt =
        model.text().render_chat(Json::parse(read_file(*options.chat), *options.chat));
    return {model.text().tokenizer.encode(prompt, /*add_special_tokens=*/false)};
  }
  std::vector<std::vector<int32_t>> result;
  for (const std::string& tokens : options.tokens) result.push_back(parse_tokens(tokens));
  if (result.empty()) fail("logits: nothing to run; give --tokens, --text or --chat");
  return result;
}

}  // namespace

int logits(const LogitsOptions& options) {
  const auto model = open_model(options.model);
  const auto input = sequences(options, *model);
  Progress progress("computing");
  const Tensor result =
      model->logits(input, options.last, options.model.chunk, cache_dtype(options.model));
  save_npy(options.out, result);
  return 0;
}

}  // namespace tallow::app
