// compressed-tensors' packed formats (pack-quantized, nvfp4-pack-quantized, mxfp4-pack-quantized).
#include "formats/quantized/quantized.h"

namespace tallow::quantized {
namespace {

/// The shape that weight_shape holds.
Shape stored_shape(const Module& m) {
  const Tensor t = m.get(".weight_shape");
  if (t.numel() != 2 || (t.dtype() != DType::i64 && t.dtype() != DType::i32)) {
    m.fail(".weight_shape", "is ", t, "; it needs i64 [2]");
  }
  const int64_t n = integer(t, 0), k = integer(t, 1);
  if (n < 0 || k < 0 || n > int64_t{1} << 40 || k > int64_t{1} << 40) {
    m.fail(".weight_shape", "says [", n, ", ", k, "]; the file is damaged");
  }
  return {n, k};
}

/// The bits of codes that take `words` 32-bit words a row.
int bits_of(const Module& m, int64_t k, int64_t words) {
  for (const int bits : {4, 8, 2, 3, 1, 5, 6, 7}) {
    if ((k * bits + 31) / 32 == words) return bits;
  }
  m.fail(".weight_packed", words, " words a row do not hold ", k,
         " codes of 1 to 8 bits without "
         "gaps; save the model with a newer compressed-tensors");
}

/// Zero points, packed down the rows or as they are.
std::function<float(int64_t, int64_t)> read_zeros(const Module& m, int64_t n, int64_t groups,
                                                  int bits) {
  const auto middle = static_cast<float>(1 << (bits - 1));
  if (!m.has(".weight_zero_point")) return [middle](int64_t, int64_t) { return middle; };
  const Tensor zeros = m.get(".weight_zero_point");
  if (zeros.dtype() == DType::i8) {
    if (zeros.numel() != n * groups && zeros.numel() != 1) {
      m.fail(".weight_zero_point", "is ", zeros, "; it needs [", n, ", ", groups, "]");
    }
    return [=](int64_t row, int64_t g) {
      const int64_t at = zeros.numel() == 1 ? 0 : row * groups + g;
      return middle + static_cast<float>(zeros.data<int8_t>()[at]);
    };
  }
  if (zeros.dtype() != DType::i32) {
    m.fail(".weight_zero_point", "is ", zeros, "; it needs i32 or i8");
  }
  m.check_shape(".weight_zero_point", zeros, {(n * bits + 31) / 32, groups});
  return [=](int64_t row, int64_t g) {
    const int64_t bit = row * bits, word = bit / 32;
    const auto at = [&](int64_t w) {
      return uint64_t{static_cast<uint32_t>(zeros.data<int32_t>()[w * groups + g])};
    };
    uint64_t both = at(word);
    if (bit % 32 + bits > 32) both |= at(word + 1) << 32;
    return static_cast<float>(both >> (bit % 32) & ((1u << bits) - 1));
  };
}

Tensor open_integer_words(const Module& m, const Tensor& packed, const Tensor& scales) {
  const Shape shape = stored_shape(m);
  IntegerWeight w;
  w.n = shape[0], w.k = shape[1];
  if (packed.size(0) != w.n) m.fail(".weight_packed", packed, " is not a weight ", shape);
  w.bits = bits_of(m, w.k, packed.size(1));
  const int64_t groups = scales.numel() == 1 || w.n == 0 ? 1 : scales.numel() / w.n;
  if (groups < 1 || w.k % groups != 0 || (scales.numel() != 1 && scales.numel() != w.n * groups)) {
    m.fail(".weight_scale", scales, " does not fit a weight ", shape);
  }
  w.group = w.k / groups;
  if (m.has(".weight_g_idx")) {
    const Tensor index = m.get(".weight_g_idx");
    if (index.numel() != w.k || (index.dtype() != DType::i32 && index.dtype() != DType::i64)) {
      m.fail(".weight_g_idx", "is ", index, "; it needs i32 [", w.k, "]");
    }
    w.group_of = read_groups(m, ".weight_g_idx", index, groups, w.group);
  }
  w.scales = scales.dtype();
  w.scale = [scales, groups](int64_t row, int64_t g) {
    return element(scales, scales.numel() == 1 ? 0 : row * groups + g);
  };
  w.zero = read_zeros(m, w.n, groups, w.bits);
  w.codes = [packed, k = w.k, bits = w.bits](int64_t begin, int64_t end, uint8_t* out) {
    for (int64_t r = begin; r < end; ++r) {
      const auto* row =
          reinterpret_cast<const uint8_t*>(packed.data<int32_t>()) + r * packed.size(1) * 4;
      unpack_bits(row, k, bits, out + (r - begin) * k);
    }
  };
  w.origin = {{packed}, true};
  return open_integers(std::move(w));
}

}  // namespace

Tensor open_compressed_packed(const Module& m) {
  const Tensor packed = m.get(".weight_packed"), scales = m.get(".weight_scale");
  if (packed.dim() != 2) m.fail(".weight_packed", "is ", packed, "; it needs 2 dimensions");
  if (packed.dtype() == DType::i32) return open_integer_words(m, packed, m.real(".weight_scale"));
  if (packed.dtype() != DType::u8) m.fail(".weight_packed", "is ", packed, "; it needs i32 or u8");
  if (m.has(".weight_global_scale")) {
    const auto global = static_cast<float>(m.number(".weight_global_scale"));
    return open_nvfp4(m, packed, scales, 1 / global);
  }
  return open_mxfp4(m, packed, scales, {packed.size(0), packed.size(1) * 2});
}

}  // namespace tallow::quantized
