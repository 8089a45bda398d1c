// GPTQ and AWQ: 32-bit words of codes, with packed zero points.
#include <algorithm>
#include <cctype>
#include <cstring>

#include "formats/quantized/quantized.h"

namespace tallow::quantized {
namespace {

const uint8_t* words(const Tensor& t, int64_t index) {
  return reinterpret_cast<const uint8_t*>(t.data<int32_t>() + index);
}

/// A key under one of two names, or a default.
int64_t config_integer(const Json& config, const char* key, const char* other, int64_t fallback) {
  for (const char* name : {key, other}) {
    const Json* value = config.find(name);
    if (!value || !value->is_integer()) continue;
    const int64_t number = value->integer();
    return number >= -1 && number <= 1 << 30 ? number : fallback;
  }
  return fallback;
}

std::string config_string(const Json& config, const char* key) {
  const Json* value = config.find(key);
  std::string text = value && value->is_string() ? value->string() : "";
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

/// Codes of words [k / 32 * bits, n], packed down the columns: 16 rows and 32 columns at a time, so
/// that whole cache lines are read and written.
Rows<uint8_t> codes_down(const Tensor& packed, int64_t k, int bits) {
  return [packed, k, bits](int64_t begin, int64_t end, uint8_t* out) {
    constexpr int64_t kRows = 16;
    const int64_t n = packed.size(1);
    const auto* from = packed.data<int32_t>();
    for (int64_t r0 = begin; r0 < end; r0 += kRows) {
      const int64_t rows = std::min(kRows, end - r0);
      for (int64_t j = 0; j < k; j += 32) {
        int32_t words[kRows][8];
        for (int w = 0; w < bits; ++w) {
          const int32_t* line = from + (j / 32 * bits + w) * n + r0;
          for (int64_t r = 0; r < rows; ++r) words[r][w] = line[r];
        }
        for (int64_t r = 0; r < rows; ++r) {
          const auto* bytes = reinterpret_cast<const uint8_t*>(words[r]);
          unpack_bits(bytes, 32, bits, out + (r0 - begin + r) * k + j);
        }
      }
    }
  };
}

}  // namespace

// AutoGPTQ and GPTQModel: qweight [k * bits / 32, n], qzeros [groups, n * bits / 32], scales
// [groups, n], g_idx [k]. The first version of the format stores zero points minus 1.
Tensor open_gptq(const Module& m) {
  const Tensor packed = m.get(".qweight", DType::i32, 2), scales = m.real(".scales");
  if (scales.dim() != 2) m.fail(".scales", "is ", scales, "; it needs [groups, n]");
  IntegerWeight w;
  w.n = packed.size(1);
  w.bits = static_cast<int>(config_integer(m.config, "bits", "w_bit", 4));
  const int64_t groups = scales.size(0), packed_bits = packed.size(0) * 32;
  Tensor index;
  if (m.has(".g_idx")) {
    index = m.get(".g_idx");
    if (index.dim() != 1 || (index.dtype() != DType::i32 && index.dtype() != DType::i64)) {
      m.fail(".g_idx", "is ", index, "; it needs i32 [k]");
    }
    w.k = index.size(0);
    // A module may have bits of its own ("dynamic" in the configuration).
    if (w.k > 0 && packed_bits % w.k == 0) w.bits = static_cast<int>(packed_bits / w.k);
  } else if (w.bits > 0) {
    w.k = packed_bits / w.bits;
  }
  if (w.bits != 2 && w.bits != 3 && w.bits != 4 && w.bits != 8) {
    m.fail(".qweight", "has ", w.bits, " bits; known are 2, 3, 4, 8");
  }
  if (w.k % 32 != 0 || w.k * w.bits != packed_bits) {
    m.fail(".qweight", packed, " is not ", w.bits, "-bit codes of ", w.k, " columns");
  }
  if (groups == 0 || groups > w.k) m.fail(".scales", scales, " does not fit ", w.k, " columns");
  m.check_shape(".scales", scales, {groups, w.n});
  w.group = config_integer(m.config, "group_size", "q_group_size", -1);
  if (w.group <= 0 || (w.k + w.group - 1) / w.group != groups) {
    w.group = (w.k + groups - 1) / groups;
  }
  if ((w.k + w.group - 1) / w.group != groups) {
    m.fail(".scales", scales, " has ", groups, " groups, which do not divide ", w.k, " columns");
  }
  if (index) w.group_of = read_groups(m, ".g_idx", index, groups, w.group);

  w.codes = codes_down(packed, w.k, w.bits);
  w.scales = scales.dtype();
  w.scale = [scales, n = w.n](int64_t row, int64_t g) { return element(scales, g * n + row); };
  const Tensor zeros = m.get(".qzeros", DType::i32, 2);
  m.check_shape(".qzeros", zeros, {groups, w.n * w.bits / 32});
  const int plus = config_string(m.config, "checkpoint_format") == "gptq_v2" ? 0 : 1;
  w.zero = [zeros, bits = w.bits, plus](int64_t row, int64_t g) {
    return static_cast<float>(bits_at(words(zeros, g * zeros.size(1)), row, bits) + plus);
  };
  w.origin = {{packed}, false};
  return open_integers(std::move(w));
}

namespace {

/// Where gemm's word has the nibble of column c of its 8.
constexpr int kAwqNibble[8] = {0, 4, 1, 5, 2, 6, 3, 7};

uint8_t awq_nibble(const Tensor& t, int64_t row, int64_t column) {
  const auto word = static_cast<uint32_t>(t.data<int32_t>()[row * t.size(1) + column / 8]);
  return word >> (4 * kAwqNibble[column % 8]) & 15;
}

constexpr int64_t kAwqColumns = 64;

/// Columns [j, j + columns) of `rows` rows from the one in nibble `first` of their word on.
void awq_tile(const Tensor& packed, int64_t word, int64_t j, int64_t columns, int64_t rows,
              int64_t first, uint8_t* out, int64_t out_stride) {
  const int32_t* from = packed.data<int32_t>() + j * packed.size(1) + word;
  uint8_t bytes[kAwqColumns][8];
  for (int64_t c = 0; c < columns; ++c) {
    const uint64_t spread = spread_nibbles(static_cast<uint32_t>(from[c * packed.size(1)]));
    std::memcpy(bytes[c], &spread, 8);
  }
  for (int64_t r = 0; r < rows; ++r, out += out_stride) {
    const int nibble = kAwqNibble[first + r];
    for (int64_t c = 0; c < columns; ++c) out[c] = bytes[c][nibble];
  }
}

/// AutoAWQ's "gemm": qweight [k, n / 8], qzeros [groups, n / 8], scales [groups, n], each word with
/// its columns interleaved.
IntegerWeight awq_gemm(const Module& m, const Tensor& packed, const Tensor& scales,
                       const Tensor& zeros) {
  IntegerWeight w;
  w.k = packed.size(0), w.n = packed.size(1) * 8;
  const int64_t groups = scales.size(0);
  if (groups == 0 || w.k % groups != 0) {
    m.fail(".scales", scales, " has ", groups, " groups, which do not divide ", w.k, " columns");
  }
  m.check_shape(".scales", scales, {groups, w.n});
  if (zeros) m.check_shape(".qzeros", zeros, {groups, w.n / 8});
  w.group = w.k / groups;
  w.codes = [packed, k = w.k](int64_t begin, int64_t end, uint8_t* out) {
    for (int64_t j = 0; j < k; j += kAwqColumns) {
      const int64_t columns = std::min(kAwqColumns, k - j);
      for (int64_t r = begin; r < end; r += 8 - r % 8) {
        awq_tile(packed, r / 8, j, columns, std::min(end - r, 8 - r % 8), r % 8,
                 out + (r - begin) * k + j, k);
      }
    }
  };
  w.scale = [scales, n = w.n](int64_t row, int64_t g) { return element(scales, g * n + row); };
  w.zero = [zeros](int64_t row, int64_t g) {
    return zeros ? static_cast<float>(awq_nibble(zeros, g, row)) : 8.0f;
  };
  w.origin = {{packed}, false};
  return w;
}

/// "gemv": qweight [n, k / 8], qzeros [n, some words], scales [n, their codes]; in plain order.
IntegerWeight awq_gemv(const Module& m, const Tensor& packed, const Tensor& scales,
                       const Tensor& zeros) {
  IntegerWeight w;
  w.n = packed.size(0), w.k = packed.size(1) * 8;
  w.group = config_integer(m.config, "group_size", "q_group_size", 128);
  if (w.group <= 0) w.group = w.k;
  const int64_t groups = w.group == 0 ? 0 : (w.k + w.group - 1) / w.group;
  const int64_t columns = scales.size(1);
  if (scales.size(0) != w.n || columns < groups) {
    m.fail(".scales", scales, " does not fit ", w.n, " rows of ", groups, " groups");
  }
  if (zeros && (zeros.size(0) != w.n || zeros.size(1) < (groups + 7) / 8)) {
    m.fail(".qzeros", zeros, " does not fit ", w.n, " rows of ", groups, " groups");
  }
  w.codes = [packed, k = w.k](int64_t begin, int64_t end, uint8_t* out) {
    for (int64_t r = begin; r < end; ++r) {
      unpack_bits(words(packed, r * packed.size(1)), k, 4, out + (r - begin) * k);
    }
  };
  w.scale = [scales, columns](int64_t row, int64_t g) {
    return element(scales, row * columns + g);
  };
  w.zero = [zeros](int64_t row, int64_t g) {
    return zeros ? static_cast<float>(bits_at(words(zeros, row * zeros.size(1)), g, 4)) : 8.0f;
  };
  w.origin = {{packed}, true};
  return w;
}

}  // namespace

Tensor open_awq(const Module& m) {
  const int64_t bits = config_integer(m.config, "bits", "w_bit", 4);
  if (bits != 4) m.fail(".qweight", "has ", bits, " bits; AWQ is known with 4");
  const std::string version = config_string(m.config, "version");
  if (!version.empty() && version != "gemm" && version != "gemv" && version != "exllama") {
    m.fail(".qweight", "is in AWQ's layout ", quoted(version),
           "; known are gemm and gemv: convert it with AutoAWQ");
  }
  const Tensor packed = m.get(".qweight", DType::i32, 2), scales = m.real(".scales");
  if (scales.dim() != 2) m.fail(".scales", "is ", scales, "; it needs 2 dimensions");
  const Tensor zeros = m.has(".qzeros") ? m.get(".qzeros", DType::i32, 2) : Tensor();
  IntegerWeight w =
      version == "gemv" ? awq_gemv(m, packed, scales, zeros) : awq_gemm(m, packed, scales, zeros);
  w.scales = scales.dtype();
  return open_integers(std::move(w));
}

}  // namespace tallow::quantized
