// Binding of the CPU kernels of linear, gated_linear and matmul.
#pragma once

namespace tallow::cpu {

void bind_linear();
void bind_matmul();

}  // namespace tallow::cpu
