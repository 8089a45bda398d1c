// HQQ: codes of the matrix reshaped into groups, packed by halves, quarters or tenths of it.
// hqq/core/bitpack.py.
#include "formats/quantized/quantized.h"

namespace tallow::quantized {
namespace {

/// The matrix of groups [rows, columns], and how its rows share bytes or words: rows are cut into
/// parts of `step`, the first of which is in the upper bits.
struct Packing {
  int bits;
  int64_t rows, columns, step;
  bool words;  // of 32 bits, for 3
  Tensor packed;

  uint8_t code(int64_t row, int64_t column) const {
    const int64_t part = row / step, at = row % step * columns + column;
    const int per = words ? 10 : 8 / bits;
    const int shift = bits * (per - 1 - static_cast<int>(part));
    const uint32_t unit = words
                              ? static_cast<uint32_t>(static_cast<const int32_t*>(packed.raw())[at])
                              : static_cast<const uint8_t*>(packed.raw())[at];
    return static_cast<uint8_t>(unit >> shift & ((1u << bits) - 1));
  }
};

int64_t size_of(const Module& m, const char* part) {
  const double value = m.number(part);
  if (!(value >= 0 && value <= 1e9)) m.fail(part, "is ", value, "; the file is damaged");
  return static_cast<int64_t>(value);
}

Packing packing_of(const Module& m, int bits, int64_t rows, int64_t columns) {
  Packing p{bits, rows, columns, rows, bits == 3, m.get(".W_q")};
  const int per = p.words ? 10 : 8 / bits;
  p.step = (rows + per - 1) / per;
  const int64_t bytes = p.step * columns * (p.words ? 4 : 1);
  if (p.packed.nbytes() != bytes || (p.words && p.packed.dtype() != DType::i32)) {
    m.fail(".W_q", "is ", p.packed, " where ", bits, "-bit codes of ", rows, " x ", columns,
           " take ", bytes, " bytes");
  }
  return p;
}

}  // namespace

Tensor open_hqq(const Module& m) {
  if (m.has(".scale_q") || m.has(".zero_q") || m.has(".zero_scale")) {
    m.fail(".W_q", "has quantized scales; quantize again with quant_scale and quant_zero off");
  }
  const Tensor shape = m.get(".shape", DType::i64, 1);
  m.check_shape(".shape", shape, {2});
  IntegerWeight w;
  w.n = integer(shape, 0), w.k = integer(shape, 1);
  w.bits = static_cast<int>(size_of(m, ".nbits"));
  if (w.n < 0 || w.k < 1 || w.n > 1 << 30 || w.k > 1 << 30) {
    m.fail(".shape", "says [", w.n, ", ", w.k, "]; the file is damaged");
  }
  if (w.bits != 1 && w.bits != 2 && w.bits != 3 && w.bits != 4 && w.bits != 8) {
    m.fail(".nbits", "is ", w.bits, "; known are 1, 2, 3, 4, 8");
  }
  const bool along_k = size_of(m, ".axis") == 1;
  const Tensor scales = m.real(".scale"), zeros = m.real(".zero");
  const int64_t count = w.n * w.k;
  int64_t group = m.has(".group_size") ? size_of(m, ".group_size") : 0;
  if (group == 0) group = along_k ? w.k : w.n;
  if (count % group != 0 || scales.numel() != count / group || zeros.numel() != scales.numel()) {
    m.fail(".scale", scales, " does not fit [", w.n, ", ", w.k, "] in groups of ", group);
  }
  w.scales = scales.dtype();
  const int64_t n = w.n, k = w.k;
  if (along_k && k % group == 0) {
    const Packing p = packing_of(m, w.bits, count / group, group);
    const int64_t groups = k / group;
    w.group = group;
    w.codes = [p, k, group](int64_t begin, int64_t end, uint8_t* out) {
      for (int64_t i = begin * k; i < end * k; ++i) *out++ = p.code(i / group, i % group);
    };
    w.scale = [=](int64_t row, int64_t g) { return element(scales, row * groups + g); };
    w.zero = [=](int64_t row, int64_t g) { return element(zeros, row * groups + g); };
    w.origin = {{p.packed}, false};
    return open_integers(std::move(w));
  }
  // Groups across rows: neighbours along k have scales of their own.
  const int64_t columns = along_k ? group : count / group;
  const Packing p = packing_of(m, w.bits, count / columns, columns);
  const auto rows = [=](int64_t begin, int64_t end, float* out) {
    for (int64_t i = begin * k; i < end * k; ++i) {
      const int64_t at = along_k ? i / columns : i % columns;
      const auto code = static_cast<float>(p.code(i / columns, i % columns));
      *out++ = (code - element(zeros, at)) * element(scales, at);
    }
  };
  return dense_weight(dense_dtype(scales.dtype()), {n, k}, rows, {{p.packed}, false});
}

}  // namespace tallow::quantized
