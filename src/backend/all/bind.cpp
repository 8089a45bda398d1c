// The list of backends that this build has.
#include "backend/cpu/kernels.h"
#include "core/backend.h"

namespace tallow {

void bind_backends() { cpu::bind(); }

}  // namespace tallow
