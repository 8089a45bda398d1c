// Keys: unsigned integers in the order of the elements, so that one radix sort serves all dtypes.
// NaN is the largest element; -0 and 0 have one key.
#pragma once

#include <cstring>

#include "ops/elements.h"

namespace tallow {

/// The key of an element of 4 bytes or fewer, and its index below, as one number.
using Item32 = uint64_t;
struct Item64 {
  uint64_t key, index;
  friend bool operator<(const Item64& a, const Item64& b) {
    return a.key != b.key ? a.key < b.key : a.index < b.index;
  }
  friend bool operator>(const Item64& a, const Item64& b) { return b < a; }
};

inline int64_t index_of(Item32 item) { return static_cast<int64_t>(item & 0xffffffffu); }
inline int64_t index_of(const Item64& item) { return static_cast<int64_t>(item.index); }
inline uint64_t key_of(Item32 item) { return item >> 32; }
inline uint64_t key_of(const Item64& item) { return item.key; }

inline void make_item(Item32& item, uint64_t key, uint64_t index) { item = key << 32 | index; }
inline void make_item(Item64& item, uint64_t key, uint64_t index) { item = {key, index}; }

inline uint32_t key_bits(float v) {
  if (v != v) return 0xffffffffu;
  v += 0.f;
  uint32_t bits;
  std::memcpy(&bits, &v, 4);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
inline uint64_t key_bits(double v) {
  if (v != v) return ~uint64_t{0};
  v += 0.0;
  uint64_t bits;
  std::memcpy(&bits, &v, 8);
  return bits >> 63 ? ~bits : bits | uint64_t{1} << 63;
}

/// Keys of a dtype's elements, which are read as float, double or int64_t.
struct Keys {
  explicit Keys(DType dtype)
      : flip(dtype == DType::u64                      ? 0
             : info(dtype).bytes == 8                 ? uint64_t{1} << 63
             : info(dtype).kind == DTypeKind::integer ? uint64_t{1} << 31
                                                      : 0) {
    if (dtype == DType::u32 || dtype == DType::u16 || dtype == DType::u8) flip = 0;
    if (dtype == DType::i8 || dtype == DType::i16 || dtype == DType::i32) mask = 0xffffffffu;
  }
  uint64_t of(float v) const { return key_bits(v); }
  uint64_t of(double v) const { return key_bits(v); }
  uint64_t of(int64_t v) const { return (static_cast<uint64_t>(v) ^ flip) & mask; }

  uint64_t flip, mask = ~uint64_t{0};
};

/// The largest key of an item: ~key reverses the order.
template <class Item>
constexpr uint64_t kKeyMask = std::is_same_v<Item, Item32> ? 0xffffffffu : ~uint64_t{0};

/// Calls f(T{}, Item{}) with the types that rows of x of n elements are sorted in.
template <class F>
void with_items(const Tensor& x, int64_t n, const F& f) {
  const bool narrow = info(x.dtype()).bytes <= 4 && n < (int64_t{1} << 32);
  with_compute_type(compute_type(x.dtype()), [&]<class T>(T) {
    if constexpr (!std::is_same_v<T, double>) {
      if (narrow) return f(T{}, Item32{});
    }
    f(T{}, Item64{});
  });
}

/// Reads n items of row `row` of x [.., n].
template <class T, class Item>
void read_items(const ElementReader<T>& reader, const Keys& keys, int64_t row, int64_t n,
                bool reversed, Item* items) {
  T scratch[kChunk];
  const uint64_t mask = reversed ? kKeyMask<Item> : 0;
  for (int64_t i = 0; i < n; i += kChunk) {
    const int64_t count = std::min(kChunk, n - i);
    const T* values = reader.read(row * n + i, count, scratch);
    for (int64_t j = 0; j < count; ++j) {
      make_item(items[i + j], keys.of(values[j]) ^ mask, static_cast<uint64_t>(i + j));
    }
  }
}

/// Sorts n items by key, stably; `spare` has room for n. Returns where the result is: one of both.
/// `threads` may work on it.
template <class Item>
Item* sort_items(Item* items, Item* spare, int64_t n, bool parallel);

/// Whether v is a NaN's key.
template <class T, class Item>
bool is_nan_key(uint64_t key) {
  return !std::is_integral_v<T> && key == kKeyMask<Item>;
}

}  // namespace tallow
