// Gives core the encoders of block types for this machine's instruction set.
#include "backend/cpu/kernels.h"
#include "backend/cpu/quant/encode.h"

namespace tallow::cpu {

void bind_encoders() {
  const auto put = [](DType dtype, EncodeFn encode) {
    block_encoders[static_cast<int>(dtype)] = encode;
  };
  const quant::AffineEncoders& affine = TALLOW_BY_ISA(affine_encoders);
  put(DType::q2_k, affine.q2_k);
  put(DType::q4_k, affine.q4_k);
  put(DType::q5_k, affine.q5_k);
  put(DType::q4_1, affine.q4_1);
  put(DType::q5_1, affine.q5_1);
  const quant::SymmetricEncoders& symmetric = TALLOW_BY_ISA(symmetric_encoders);
  put(DType::q3_k, symmetric.q3_k);
  put(DType::q6_k, symmetric.q6_k);
  put(DType::iq4_xs, symmetric.iq4_xs);
  put(DType::iq4_nl, symmetric.iq4_nl);
  put(DType::q4_0, symmetric.q4_0);
  put(DType::q5_0, symmetric.q5_0);
  put(DType::q1_0, symmetric.q1_0);
  put(DType::q2_0, symmetric.q2_0);
  put(DType::nvfp4, symmetric.nvfp4);
  const quant::BookEncoders& book = TALLOW_BY_ISA(book_encoders);
  put(DType::iq1_s, book.iq1_s);
  put(DType::iq1_m, book.iq1_m);
  put(DType::iq2_xxs, book.iq2_xxs);
  put(DType::iq2_xs, book.iq2_xs);
  put(DType::iq2_s, book.iq2_s);
  put(DType::iq3_xxs, book.iq3_xxs);
  put(DType::iq3_s, book.iq3_s);
}

}  // namespace tallow::cpu
