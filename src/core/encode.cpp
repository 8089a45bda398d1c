// Which code rounds to a block type: the plain functions where the bytes are those of the `gguf`
// package, the backend's searches elsewhere.
#include "core/encode.h"

#include "core/backend.h"
#include "core/blocks.h"
#include "tallow/error.h"
#include "tallow/parallel.h"

namespace tallow {

EncodeFn block_encoders[kDTypeCount] = {};

namespace {

using FromF32 = void (*)(const float* source, void* target, int64_t n);

/// The function of a type that rounds in one way only; or that does so without importance.
FromF32 plain_encoder(DType dtype, bool has_importance) {
  switch (dtype) {
    case DType::q8_0: return blocks::q8_0_from_f32;
    case DType::mxfp4: return blocks::mxfp4_from_f32;
    case DType::tq1_0: return blocks::tq1_0_from_f32;
    case DType::tq2_0: return blocks::tq2_0_from_f32;
    case DType::q8_1: return blocks::q8_1_from_f32;
    case DType::q8_k: return blocks::q8_k_from_f32;
    case DType::q4_1: return has_importance ? nullptr : blocks::q4_1_from_f32;
    case DType::q5_0: return has_importance ? nullptr : blocks::q5_0_from_f32;
    case DType::q5_1: return has_importance ? nullptr : blocks::q5_1_from_f32;
    default: return nullptr;
  }
}

}  // namespace

void encode_blocks(DType dtype, const float* x, void* out, int64_t rows, int64_t k,
                   const float* importance) {
  constexpr int64_t kGrain =
      1 << 14;  // elements; whole batches of 16 blocks, whatever their length
  ensure_backends();
  const DTypeInfo& row = info(dtype);
  // Types that no GGUF file has bring their own.
  const FromF32 plain = row.gguf < 0 ? row.from_f32 : plain_encoder(dtype, importance != nullptr);
  const EncodeFn encode = block_encoders[static_cast<int>(dtype)];
  if (!plain && !encode) fail("to: ", dtype, " cannot be quantized to, only read");
  const int64_t period = k / row.block;
  parallel_for(rows * period, kGrain / row.block, [&](int64_t begin, int64_t end, int) {
    const float* source = x + begin * row.block;
    auto* target = static_cast<uint8_t*>(out) + begin * row.bytes;
    if (plain) {
      plain(source, target, (end - begin) * row.block);
    } else {
      encode({source, target, end - begin, importance, period, begin});
    }
  });
}

}  // namespace tallow
