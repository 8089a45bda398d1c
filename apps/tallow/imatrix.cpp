// `tallow imatrix`: what the activations of a text say about the weights' importance.
#include "core/read_file.h"
#include "options.h"
#include "progress.h"
#include "tallow/importance.h"
#include "tallow/language_model.h"
#include "tallow/parallel.h"

namespace tallow::app {

int imatrix(const ImatrixOptions& options) {
  if (options.model.threads > 0) set_num_threads(options.model.threads);
  ImportanceOptions o;
  o.chunk = options.chunk;
  o.max_chunks = options.chunks;
  o.output = options.output;
  Bar bar("measuring");
  o.progress = [&](int64_t done, int64_t total) { bar.update("", done, total); };
  measure_importance(resolve_model(options.model.model), options.text, options.out, o);
  return 0;
}

}  // namespace tallow::app
