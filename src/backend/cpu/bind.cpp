// Gives the ops the kernels of this backend. A backend binds by name, here, since linkers drop
// objects that only register themselves.
#include "backend/cpu/conv/conv.h"
#include "backend/cpu/elementwise.h"
#include "backend/cpu/fft.h"
#include "backend/cpu/fused.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/limits.h"
#include "backend/cpu/linear.h"
#include "backend/cpu/move.h"
#include "backend/cpu/pooling.h"
#include "backend/cpu/quant/encode.h"
#include "backend/cpu/recurrent/kernels.h"
#include "backend/cpu/reduce.h"
#include "backend/cpu/sdpa/sdpa.h"
#include "ops/registry.h"

namespace tallow::cpu {

void bind() {
  bind_limits();
  bind_elementwise();
  bind_linear();
  bind_fft();
  bind_fused();
  bind_reduce();
  bind_norm();
  bind_order();
  bind_move();
  bind_pooling();
  bind_recurrent();
  bind_sdpa();
  bind_conv();
  bind_encoders();
}

}  // namespace tallow::cpu
