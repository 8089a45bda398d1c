// Writing a dict of tensors as torch.save does, one tensor in memory at a time.
#pragma once

#include <string>
#include <vector>

#include "tallow/files.h"

namespace tallow {

void save_pytorch(const std::vector<PlannedTensor>& tensors, const std::string& path);

}  // namespace tallow
