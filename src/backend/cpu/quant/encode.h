// The encoders of block types, as each instruction set has them, and their places in core's table.
#pragma once

#include "core/encode.h"

namespace tallow::cpu {
namespace quant {

struct AffineEncoders {
  EncodeFn q2_k, q4_k, q5_k;
  EncodeFn q4_1, q5_1;
};

struct SymmetricEncoders {
  EncodeFn q3_k, q6_k, iq4_xs, iq4_nl;
  EncodeFn q4_0, q5_0;
  EncodeFn q1_0, q2_0, nvfp4;
};

struct BookEncoders {
  EncodeFn iq1_s, iq1_m, iq2_xxs, iq2_xs, iq2_s, iq3_xxs, iq3_s;
};

}  // namespace quant

namespace isa_portable {
extern const quant::AffineEncoders affine_encoders;
extern const quant::SymmetricEncoders symmetric_encoders;
extern const quant::BookEncoders book_encoders;
}  // namespace isa_portable
namespace isa_avx2 {
extern const quant::AffineEncoders affine_encoders;
extern const quant::SymmetricEncoders symmetric_encoders;
extern const quant::BookEncoders book_encoders;
}  // namespace isa_avx2
namespace isa_avx512 {
extern const quant::AffineEncoders affine_encoders;
extern const quant::SymmetricEncoders symmetric_encoders;
extern const quant::BookEncoders book_encoders;
}  // namespace isa_avx512

/// Gives core the encoders of this machine's instruction set.
void bind_encoders();

}  // namespace tallow::cpu
