// What a model's file or folder holds, as text or JSON: metadata and tensors.
#pragma once

#include <string>

#include "tallow/json.h"

namespace tallow {

/// {"path", "format", "metadata", "tensors": [{"name", "dtype", "shape", "bytes", "file"}],
/// "totals": {"tensors", "parameters", "bytes"}} of a file of tensors of any format, or of a
/// folder of such with its config.json. Metadata arrays past a million elements are
/// abbreviated to {"type", "count", "first"}. Throws Error.
Json inspect_json(const std::string& path);

/// The same as aligned columns for people; long values are abbreviated.
std::string inspect_text(const std::string& path);

}  // namespace tallow
