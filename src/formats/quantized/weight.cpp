// Weights made of a checkpoint's parts: rows of blocks, on demand.
#include <algorithm>
#include <cstring>
#include <mutex>
#include <numeric>

#include "core/blocks_grouped.h"
#include "formats/quantized/quantized.h"
#include "tallow/parallel.h"

namespace tallow::quantized {
namespace {

constexpr int64_t kChunkBytes = 256 << 10;  // what a thread makes at a time

int64_t row_count(const Shape& shape) {
  int64_t rows = 1;
  for (int i = 0; i + 1 < shape.size(); ++i) rows *= shape[i];
  return rows;
}

class MadeRows final : public BufferSource {
 public:
  MadeRows(int64_t row_bytes, int64_t rows, Rows<std::byte> make, Origin origin)
      : row_bytes_(row_bytes), rows_(rows), make_(std::move(make)), origin_(std::move(origin)) {}

  void read(int64_t begin, int64_t end, std::byte* out) const override {
    const int64_t first = begin / row_bytes_, last = end / row_bytes_;
    const int64_t grain = std::max<int64_t>(1, kChunkBytes / row_bytes_);
    parallel_for(last - first, grain, [&](int64_t from, int64_t to, int) {
      make_(first + from, first + to, out + from * row_bytes_);
    });
  }

  void release(int64_t begin, int64_t end) const override {
    const int64_t total = rows_ * row_bytes_;
    if (!origin_.by_rows && end < total) return;
    for (const Tensor& part : origin_.parts) {
      const auto share = [&](int64_t at) {
        return !origin_.by_rows ? (at == end ? part.nbytes() : 0)
                                : part.nbytes() / std::max<int64_t>(rows_, 1) * (at / row_bytes_);
      };
      const int64_t from = share(begin), to = end >= total ? part.nbytes() : share(end);
      part.buffer()->release_pages(part.offset() + from, to - from);
    }
  }

 private:
  int64_t row_bytes_, rows_;
  Rows<std::byte> make_;
  Origin origin_;
};

/// The longest block that divides the groups and k, or 0.
int64_t block_length(const IntegerWeight& w) {
  for (const int64_t length : {128, 64, 32}) {
    if (w.group % length == 0 && w.k % length == 0) return length;
  }
  return 0;
}

int container_bits(int bits) { return bits <= 2 ? 2 : bits <= 4 ? bits : 8; }

DType integer_dtype(int bits, int64_t length) {
  const int row = bits == 2 ? 0 : bits == 3 ? 1 : bits == 4 ? 2 : 3;
  const int column = length == 32 ? 0 : length == 64 ? 1 : 2;
  return static_cast<DType>(static_cast<int>(DType::u2_g32) + 3 * row + column);
}

/// Columns by their groups, or nothing where the groups cannot be cut into blocks of 32.
std::vector<int32_t> regrouped(const IntegerWeight& w, int64_t& length) {
  std::vector<int32_t> order(static_cast<size_t>(w.k));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return w.group_of[static_cast<size_t>(a)] < w.group_of[static_cast<size_t>(b)];
  });
  const auto group_at = [&](int64_t j) {
    return w.group_of[static_cast<size_t>(order[static_cast<size_t>(j)])];
  };
  for (length = 128; length >= 32; length /= 2) {
    bool fits = w.k % length == 0;
    for (int64_t j = 0; fits && j < w.k; j += length) {
      fits = group_at(j) == group_at(j + length - 1);
    }
    if (fits) return order;
  }
  length = 0;
  return {};
}

int64_t group_at(const IntegerWeight& w, int64_t column) {
  return w.group_of.empty() ? column / w.group : w.group_of[static_cast<size_t>(column)];
}

/// One row of codes as blocks of `length`, columns in `order` where it is given.
void write_blocks(const IntegerWeight& w, int64_t row, const uint8_t* codes, int bits,
                  int64_t length, const std::vector<int32_t>* order, std::byte* out) {
  auto* block = reinterpret_cast<uint8_t*>(out);
  uint8_t picked[32];
  for (int64_t j = 0; j < w.k; j += length) {
    const int64_t group = group_at(w, order ? (*order)[static_cast<size_t>(j)] : j);
    const float head[2] = {w.scale(row, group), w.zero(row, group)};
    std::memcpy(block, head, sizeof head);
    block += blocks::kGroupedHead;
    for (int64_t i = j; i < j + length; i += 32, block += blocks::code_bytes(bits)) {
      const uint8_t* part = codes + i;
      if (order) {
        for (int64_t e = 0; e < 32; ++e) picked[e] = codes[(*order)[static_cast<size_t>(i + e)]];
        part = picked;
      }
      blocks::put_codes(bits, part, block);
    }
  }
}

Tensor dense_integers(IntegerWeight weight) {
  auto w = std::make_shared<const IntegerWeight>(std::move(weight));
  const auto rows = [w](int64_t begin, int64_t end, float* out) {
    std::vector<uint8_t> codes(static_cast<size_t>((end - begin) * w->k));
    w->codes(begin, end, codes.data());
    const uint8_t* code = codes.data();
    for (int64_t r = begin; r < end; ++r) {
      int64_t group = -1;
      float scale = 0, zero = 0;
      for (int64_t j = 0; j < w->k; ++j) {
        if (const int64_t g = group_at(*w, j); g != group) {
          group = g, scale = w->scale(r, g), zero = w->zero(r, g);
        }
        *out++ = scale * (static_cast<float>(*code++) - zero);
      }
    }
  };
  return dense_weight(dense_dtype(w->scales), {w->n, w->k}, rows, w->origin);
}

}  // namespace

void unpack_bits(const uint8_t* row, int64_t count, int bits, uint8_t* out) {
  int64_t i = 0;
  if (bits == 8) return static_cast<void>(std::memcpy(out, row, static_cast<size_t>(count)));
  for (; bits == 4 && i + 8 <= count; i += 8) {
    uint32_t word;
    std::memcpy(&word, row + i / 2, sizeof word);
    const uint64_t bytes = spread_nibbles(word);
    std::memcpy(out + i, &bytes, sizeof bytes);
  }
  for (; i + 8 <= count; i += 8) {  // 8 codes are whole bytes
    uint64_t unit = 0;
    std::memcpy(&unit, row + i / 8 * bits, static_cast<size_t>(bits));
    for (int e = 0; e < 8; ++e) out[i + e] = unit >> (bits * e) & ((1u << bits) - 1);
  }
  for (; i < count; ++i) out[i] = bits_at(row, i, bits);
}

Tensor deferred_weight(DType dtype, const Shape& shape, Rows<std::byte> rows, Origin origin) {
  const int64_t row_bytes = storage_bytes(dtype, shape.back()), count = row_count(shape);
  int64_t bytes;
  if (__builtin_mul_overflow(row_bytes, count, &bytes)) fail("weight ", shape, " is too large");
  auto buffer = bytes == 0 ? Buffer::allocate(0)
                           : Buffer::deferred(
                                 bytes, std::make_shared<MadeRows>(
                                            row_bytes, count, std::move(rows), std::move(origin)));
  return Tensor(std::move(buffer), 0, shape, contiguous_strides(shape), dtype);
}

Tensor dense_weight(DType dtype, const Shape& shape, Rows<float> rows, Origin origin) {
  const int64_t k = shape.back();
  const auto convert = [rows = std::move(rows), k, dtype](int64_t begin, int64_t end,
                                                          std::byte* out) {
    std::vector<float> values(static_cast<size_t>(k));
    for (int64_t r = begin; r < end; ++r, out += k * info(dtype).bytes) {
      rows(r, r + 1, values.data());
      info(dtype).from_f32(values.data(), out, k);
    }
  };
  return deferred_weight(dtype, shape, convert, std::move(origin));
}

std::vector<int32_t> read_groups(const Module& m, std::string_view part, const Tensor& index,
                                 int64_t groups, int64_t group) {
  std::vector<int32_t> list(static_cast<size_t>(index.numel()));
  bool consecutive = true;
  for (int64_t i = 0; i < index.numel(); ++i) {
    const int64_t g = integer(index, i);
    if (g < 0 || g >= groups) {
      m.fail(part, "column ", i, " is in group ", g, " of ", groups, "; the file is damaged");
    }
    list[static_cast<size_t>(i)] = static_cast<int32_t>(g);
    consecutive &= g == i / group;
  }
  if (consecutive) list.clear();
  return list;
}

Tensor open_integers(IntegerWeight weight) {
  int64_t length = block_length(weight);
  Buffer::ColumnOrder order;
  if (!weight.group_of.empty()) {
    auto list = regrouped(weight, length);
    order = std::make_shared<const std::vector<int32_t>>(std::move(list));
  }
  if (length == 0) return dense_integers(std::move(weight));
  const int bits = container_bits(weight.bits);
  const DType dtype = integer_dtype(bits, length);
  auto w = std::make_shared<const IntegerWeight>(std::move(weight));
  const int64_t row_bytes = storage_bytes(dtype, w->k);
  const auto rows = [=](int64_t begin, int64_t end, std::byte* out) {
    std::vector<uint8_t> codes(static_cast<size_t>((end - begin) * w->k));
    w->codes(begin, end, codes.data());
    for (int64_t r = begin; r < end; ++r, out += row_bytes) {
      write_blocks(*w, r, codes.data() + (r - begin) * w->k, bits, length, order.get(), out);
    }
  };
  Tensor result = deferred_weight(dtype, {w->n, w->k}, rows, w->origin);
  if (order) result.buffer()->set_column_order(order);
  return result;
}

}  // namespace tallow::quantized
