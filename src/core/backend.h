// The one thing that core asks of the backends, without knowing any.
#pragma once

namespace tallow {

/// Binds every backend's kernels to the ops. Defined in src/backend/backends.cpp.
void bind_backends();
/// The same at the first call, and nothing later.
void ensure_backends();

}  // namespace tallow
