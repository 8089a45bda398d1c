// Which buffers others may write to without telling: those that NumPy or DLPack were given.
#pragma once

#include <memory>

#include "tallow/buffer.h"

namespace tallow {

/// Notes that the memory was handed out.
void note_shared(const std::shared_ptr<Buffer>& buffer);
/// Whether it was, or belongs to somebody else.
bool is_shared(const std::shared_ptr<Buffer>& buffer);

}  // namespace tallow
