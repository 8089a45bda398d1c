// `tallow inspect`: what a model's file or folder holds.
#include "tallow/inspect.h"

#include "model.h"
#include "process.h"

namespace tallow::app {

int inspect(const InspectOptions& options) {
  const std::string path = find_model(options.path);
  write_stdout(options.json ? inspect_json(path).dump() + "\n" : inspect_text(path));
  return 0;
}

}  // namespace tallow::app
