// Plans of Fourier transforms: what a length needs beforehand, computed once.
//
// The kernels transform as many lines at once as a vector has lanes: element j of every line
// stands in one pair of vectors, so that no arithmetic crosses lanes. A single long line becomes a
// matrix whose columns, then rows, are such lines (Bailey's four steps).
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace tallow::spectral {

inline constexpr int kMaxLanes = 16;
/// The largest prime factor that has a butterfly; above it, Bluestein's algorithm.
inline constexpr int kMaxRadix = 31;

/// One pass over all elements: y[q + s (r p + k)] = w^(p k) sum_j x[q + s (p + m j)] w_r^(j k).
template <class T>
struct Stage {
  int radix;
  int64_t m, s;
  const T* twiddles;  ///< [m][radix - 1] complex
  const T* roots;     ///< [radix] complex, the radix-th roots of 1
};

/// Bluestein's algorithm: a transform of any length as a convolution of a friendly one.
template <class T>
struct Chirp {
  int64_t n, padded;
  const T* chirp;          ///< [n] complex, e^(-i pi j^2 / n)
  const T* spectrum;       ///< [padded] complex: the conjugate chirp's transform over padded
  const Stage<T>* stages;  ///< of `padded`
  int stage_count;
};

/// Up to `lanes` lines, transformed forward. Strides and offsets count elements of T.
template <class T>
struct Group {
  enum class Real : uint8_t { no, forward, inverse };

  int64_t n = 0;  ///< complex elements of a line
  const Stage<T>* stages = nullptr;
  int stage_count = 0;
  const Chirp<T>* chirp = nullptr;  ///< instead of stages

  int lines = 0;
  const T* in[kMaxLanes] = {};  ///< those past `lines` repeat the first
  T* out[kMaxLanes] = {};
  int64_t in_stride = 2, out_stride = 2;         ///< from an element to the next
  int64_t in_imag = 1, out_imag = 1;             ///< from real to imaginary part; 0: there is none
  int64_t in_count = 0, out_count = 0;           ///< elements
  bool in_columns = false, out_columns = false;  ///< the lines are neighbours in memory
  bool swap_in = false, swap_out = false;        ///< exchange real and imaginary part: the inverse
  T scale = 1;
  const T* twiddles = nullptr;  ///< [n][2][lanes], multiplied with the result

  /// forward: the n results become those of 2n real elements. inverse: the reverse, beforehand.
  Real real = Real::no;
  const T* real_roots = nullptr;  ///< [n / 2 + 1] complex, the 2n-th roots of 1
  T conjugate = 1;                ///< -1: conjugates the half spectrum
  bool hermitian = false;         ///< n / 2 + 1 elements are given, the others mirror them

  T* scratch = nullptr;  ///< room for scratch_size()
};

/// What an instruction set brings.
template <class T>
struct Kernels {
  int lanes;
  void (*group)(const Group<T>& g);
  /// a[i] *= b[i] over n complex numbers.
  void (*multiply)(T* a, const T* b, int64_t n);
  /// The packed transform z of n complex numbers to the half spectrum of 2n reals, in place with
  /// one more element; and back.
  void (*real_forward)(T* z, const T* roots, int64_t n, T conjugate);
  void (*real_inverse)(T* z, const T* roots, int64_t n, T conjugate);
};

/// The table in use: the portable one until a backend sets another.
template <class T>
Kernels<T>& kernels();

template <class T>
class Plan {
 public:
  /// The cached plan of a length of at least 1.
  static std::shared_ptr<const Plan> of(int64_t n);
  explicit Plan(int64_t n);

  int64_t n() const { return n_; }
  /// Sets what a group of lines of this length needs.
  void fill(Group<T>& g) const;
  /// Elements of T that a group needs as scratch.
  int64_t scratch_size() const;
  /// Whether lines are better transformed one by one, by transform_row.
  bool is_long() const;

  /// One contiguous line of complex numbers, in parallel where it is long. in == out is allowed.
  void transform_row(const T* in, T* out, bool inverse, T scale) const;

  /// The 2n-th roots of 1, for real transforms of 2n elements.
  const T* real_roots() const;

 private:
  void make_stages();
  void make_chirp();
  void make_split() const;
  void row_by_chirp(const T* in, T* out, bool inverse, T scale) const;
  void row_by_split(const T* in, T* out, bool inverse, T scale) const;
  void row_by_group(const T* in, T* out, bool inverse, T scale) const;

  int64_t n_;
  std::vector<Stage<T>> stages_;
  std::vector<std::vector<T>> tables_;
  Chirp<T> chirp_{};
  std::shared_ptr<const Plan> padded_;
  mutable std::once_flag split_once_, roots_once_;
  mutable int64_t columns_ = 0;  // n = rows * columns
  mutable std::shared_ptr<const Plan> over_rows_, over_columns_;
  mutable std::vector<T> split_twiddles_, real_roots_;
};

}  // namespace tallow::spectral
