// `tallow logits`: a model's logits for given tokens, as a .npy file that other tools read.
#include "model.h"
#include "process.h"
#include "progress.h"
#include "tallow/error.h"
#include "tallow/npy.h"

namespace tallow::app {
namespace {

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == path.npos ? "" : path.substr(0, slash);
}

std::vector<Prompt> prompts(const LogitsOptions& options, const LanguageModel& model) {
  if (options.text) return {model.text().tokenizer.encode(*options.text)};
  if (options.chat) {
    ChatRequest request = chat_request(options.think, folder_of(*options.chat));
    request.image_tokens = options.image_tokens;
    return {model.chat_prompt(Json::parse(read_file(*options.chat), *options.chat), request)};
  }
  std::vector<Prompt> result;
  for (const std::string& tokens : options.tokens) result.emplace_back(parse_tokens(tokens));
  if (result.empty()) fail("logits: nothing to run; give --tokens, --text or --chat");
  return result;
}

}  // namespace

int logits(const LogitsOptions& options) {
  const auto model = open_model(options.model);
  const auto input = prompts(options, *model);
  Progress progress("computing");
  const Tensor result =
      model->logits(input, options.last, options.model.chunk, cache_dtype(options.model));
  save_npy(options.out, result);
  return 0;
}

}  // namespace tallow::app
