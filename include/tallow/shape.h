// Shapes and strided layouts.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

namespace tallow {

/// The sizes (or strides) of up to 12 dimensions, kept inline.
class Shape {
 public:
  static constexpr int kMaxDims = 12;

  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) : Shape(std::span(dims.begin(), dims.size())) {}
  /// Throws Error past 12 dimensions.
  explicit Shape(std::span<const int64_t> dims);
  /// `count` dimensions of size `value`.
  static Shape filled(int count, int64_t value);

  int size() const { return count_; }
  bool empty() const { return count_ == 0; }
  int64_t& operator[](int i) { return dims_[i]; }
  int64_t operator[](int i) const { return dims_[i]; }
  int64_t* begin() { return dims_; }
  int64_t* end() { return dims_ + count_; }
  const int64_t* begin() const { return dims_; }
  const int64_t* end() const { return dims_ + count_; }
  int64_t back() const { return dims_[count_ - 1]; }
  int64_t& back() { return dims_[count_ - 1]; }
  void push_back(int64_t dim);
  void insert(int at, int64_t dim);
  void erase(int at);

  /// The product of the sizes (1 for no dimensions). Throws Error on overflow or a negative size.
  int64_t numel() const;

  friend bool operator==(const Shape& a, const Shape& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  int64_t dims_[kMaxDims];
  int count_ = 0;
};

/// The dimensions that an op works on: `1`, `{0, -1}`, or `{}` for none given, which means what the
/// op says (most often all). A plain number is told from a list of one, as in split(x, 2).
class Dims {
 public:
  Dims() = default;
  template <std::integral T>
  Dims(T dim) : values_{static_cast<int64_t>(dim)}, is_number_(true) {}  // NOLINT
  Dims(std::initializer_list<int64_t> dims) { assign({dims.begin(), dims.size()}); }
  template <class T>
  requires std::convertible_to<const T&, std::span<const int64_t>> Dims(const T& dims) {  // NOLINT
    assign(std::span<const int64_t>(dims));
  }
  Dims(const Shape& dims) : values_(dims) {}  // NOLINT

  bool given() const { return size() > 0; }
  bool is_number() const { return is_number_; }
  int size() const { return many_.empty() ? values_.size() : static_cast<int>(many_.size()); }
  int64_t operator[](int i) const { return begin()[i]; }
  const int64_t* begin() const { return many_.empty() ? values_.begin() : many_.data(); }
  const int64_t* end() const { return begin() + size(); }
  operator std::span<const int64_t>() const { return {begin(), end()}; }  // NOLINT

 private:
  void assign(std::span<const int64_t> dims) {
    if (dims.size() > Shape::kMaxDims) {
      many_.assign(dims.begin(), dims.end());
    } else {
      values_ = Shape(dims);
    }
  }
  Shape values_;
  std::vector<int64_t> many_;  // of lists that name no dimensions, such as the sizes of a split
  bool is_number_ = false;
};

/// "[4, 768]"
std::string to_string(const Shape& shape);

/// The strides, in elements, of a contiguous tensor.
Shape contiguous_strides(const Shape& shape);

/// The shape that a and b broadcast to. Throws Error, beginning with `what`, when they do not.
Shape broadcast_shapes(const Shape& a, const Shape& b, const char* what);

/// A dimension given as -n..n-1, as 0..n-1. Throws IndexError, beginning with `what`, out of range.
int normalize_dim(int64_t dim, int dims, const char* what);

/// Bit d for each dimension d that is named, of `count`. Throws Error, beginning with `what`, for
/// one out of range or named twice.
uint32_t dim_bits(std::span<const int64_t> dims, int count, const char* what);

}  // namespace tallow
