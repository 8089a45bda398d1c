// `tallow quantize`: a model in fewer bits.
#include "tallow/quantize.h"

#include "options.h"
#include "progress.h"
#include "tallow/error.h"
#include "tallow/language_model.h"
#include "tallow/parallel.h"

namespace tallow::app {
namespace {

DType dtype_of(const std::string& name, const char* option) {
  const auto dtype = dtype_from_name(name);
  if (!dtype || info(*dtype).gguf < 0) {
    fail(option, ": ", name, " is no type of GGUF's; try q4_k, q6_k, q8_0 or f16");
  }
  return *dtype;
}

}  // namespace

int quantize(const QuantizeCommandOptions& options) {
  QuantizeOptions o;
  o.mix = options.mix;
  o.imatrix = options.imatrix;
  o.pure = options.pure;
  o.requantize = options.requantize;
  if (!options.output_type.empty()) o.output_type = dtype_of(options.output_type, "--output-type");
  if (!options.token_embedding_type.empty()) {
    o.token_embedding_type = dtype_of(options.token_embedding_type, "--token-embedding-type");
  }
  for (const std::string& rule : options.tensor_types) {
    const size_t at = rule.rfind('=');
    if (at == rule.npos || at == 0) fail("--tensor-type: ", rule, ": give REGEX=TYPE");
    o.tensor_types.emplace_back(rule.substr(0, at), dtype_of(rule.substr(at + 1), "--tensor-type"));
  }
  if (options.threads > 0) set_num_threads(options.threads);
  Bar bar("quantizing");
  o.progress = [&](std::string_view name, int64_t done, int64_t total) {
    bar.update(name, done, total);
  };
  quantize_model(resolve_model(options.in), options.out, o);
  return 0;
}

}  // namespace tallow::app
