// What the hub's functions and language models share.
#pragma once

#include <string>

namespace tallow::python {

/// The path of a model: itself, or, of a name on the hub, where it was downloaded to, with progress
/// bars on a terminal. Without the interpreter's lock; Ctrl-C stops it.
std::string find_model(const std::string& name);

}  // namespace tallow::python
