// Plans: factors, roots of unity, and the split of long lines.
#include "ops/spectral/fft_plan.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <map>
#include <mutex>
#include <numbers>

#include "tallow/parallel.h"
#include "tallow/tensor.h"

namespace tallow::spectral {
namespace {

// e^(-2 pi i k / n), from an angle of at most an eighth of the circle.
std::complex<double> root(int64_t k, int64_t n) {
  int64_t a = k % n * 8;
  const int64_t eighth = n;
  bool negate_im = true, negate_re = false, exchange = false;
  if (a > 4 * eighth) a = 8 * eighth - a, negate_im = false;
  if (a > 2 * eighth) a = 4 * eighth - a, negate_re = true;
  if (a > eighth) a = 2 * eighth - a, exchange = true;
  const double angle = std::numbers::pi / 4 * (static_cast<double>(a) / static_cast<double>(n));
  double c = std::cos(angle), s = std::sin(angle);
  if (exchange) std::swap(c, s);
  return {negate_re ? -c : c, negate_im ? -s : s};
}

// The same for many k of one n: products of two short tables.
class Roots {
 public:
  explicit Roots(int64_t n) : n_(n) {
    while ((int64_t{1} << (2 * bits_)) < n) ++bits_;
    const int64_t low = int64_t{1} << bits_;
    for (int64_t k = 0; k < std::min(low, n); ++k) low_.push_back(root(k, n));
    for (int64_t k = 0; k < n; k += low) high_.push_back(root(k, n));
  }
  std::complex<double> operator()(int64_t k) const {
    k %= n_;
    const auto a = high_[static_cast<size_t>(k >> bits_)];
    const auto b = low_[static_cast<size_t>(k & ((int64_t{1} << bits_) - 1))];
    return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
  }

 private:
  int64_t n_;
  int bits_ = 1;
  std::vector<std::complex<double>> low_, high_;
};

template <class T>
void push(std::vector<T>& table, std::complex<double> z) {
  table.push_back(static_cast<T>(z.real()));
  table.push_back(static_cast<T>(z.imag()));
}

// Radices whose product is n; empty where a prime factor is too large.
std::vector<int> factorize(int64_t n) {
  std::vector<int> radices;
  int twos = 0;
  while (n % 2 == 0) n /= 2, ++twos;
  for (; twos >= 5 || twos == 3; twos -= 3) radices.push_back(8);
  for (; twos >= 2; twos -= 2) radices.push_back(4);
  if (twos) radices.push_back(2);
  for (int r = 3; r <= kMaxRadix; r += 2) {
    while (n % r == 0) n /= r, radices.push_back(r);
  }
  if (n > 1) return {};
  if (radices.empty()) radices.push_back(1);
  return radices;
}

// A friendly length of at least n.
int64_t padded_length(int64_t n) {
  int64_t best = INT64_MAX;
  for (int64_t odd : {1, 3, 5, 9, 15}) {
    int64_t m = odd;
    while (m < n) m *= 2;
    best = std::min(best, m);
  }
  return best;
}

// A divisor near the square root, preferably a multiple of the lanes.
int64_t split_of(int64_t n, int64_t lanes) {
  int64_t best = 1;
  double least = 1e300;
  for (int64_t d = 1; d * d <= n; ++d) {
    if (n % d) continue;
    for (int64_t c : {d, n / d}) {
      auto waste = [&](int64_t k) {
        return static_cast<double>((k + lanes - 1) / lanes * lanes) / static_cast<double>(k);
      };
      const double skew = std::abs(std::log2(static_cast<double>(c) / static_cast<double>(n / c)));
      const double cost = waste(c) * waste(n / c) * (1 + 0.06 * skew);
      if (cost < least) least = cost, best = c;
    }
  }
  return best;
}

template <class T>
constexpr int64_t kLongest = 4096 * 4 / sizeof(T);  // of lines whose group stays in the L2 cache

Tensor scratch_of(int64_t count, size_t size) {
  return Tensor::empty({count * static_cast<int64_t>(size)}, DType::u8);
}

}  // namespace

template <class T>
Plan<T>::Plan(int64_t n) : n_(n) {
  make_stages();
  if (stages_.empty()) make_chirp();
}

template <class T>
std::shared_ptr<const Plan<T>> Plan<T>::of(int64_t n) {
  static std::mutex mutex;
  static std::map<int64_t, std::shared_ptr<const Plan>> plans;
  constexpr size_t kKept = 64;
  {
    const std::lock_guard lock(mutex);
    if (auto found = plans.find(n); found != plans.end()) return found->second;
  }
  auto made = std::make_shared<const Plan>(n);  // asks for other plans itself
  const std::lock_guard lock(mutex);
  if (plans.size() >= kKept) plans.erase(plans.begin());
  plans[n] = made;
  return made;
}

template <class T>
void Plan<T>::make_stages() {
  int64_t s = 1, left = n_;
  for (int radix : factorize(n_)) {
    const int64_t m = left / radix;
    std::vector<T> twiddles, roots;
    for (int64_t p = 0; p < m; ++p) {
      for (int64_t k = 1; k < radix; ++k) push(twiddles, root(p * k, left));
    }
    for (int64_t k = 0; k < radix; ++k) push(roots, root(k, radix));
    tables_.push_back(std::move(twiddles));
    const T* twiddle_data = tables_.back().data();
    tables_.push_back(std::move(roots));
    stages_.push_back({radix, m, s, twiddle_data, tables_.back().data()});
    s *= radix;
    left = m;
  }
}

template <class T>
void Plan<T>::make_chirp() {
  const int64_t padded = padded_length(2 * n_ - 1);
  padded_ = of(padded);
  std::vector<T> chirp, spectrum(static_cast<size_t>(2 * padded));
  int64_t square = 0;  // j * j modulo 2n
  for (int64_t j = 0; j < n_; square = (square + 2 * j + 1) % (2 * n_), ++j) {
    const std::complex<double> z = root(square, 2 * n_);
    push(chirp, z);
    for (int64_t at : {j, j == 0 ? 0 : padded - j}) {
      spectrum[static_cast<size_t>(2 * at)] = static_cast<T>(z.real());
      spectrum[static_cast<size_t>(2 * at + 1)] = static_cast<T>(-z.imag());
    }
  }
  padded_->transform_row(spectrum.data(), spectrum.data(), false,
                         static_cast<T>(1.0 / static_cast<double>(padded)));
  tables_.push_back(std::move(chirp));
  const T* chirp_data = tables_.back().data();
  tables_.push_back(std::move(spectrum));
  chirp_ = {n_,
            padded,
            chirp_data,
            tables_.back().data(),
            padded_->stages_.data(),
            static_cast<int>(padded_->stages_.size())};
}

template <class T>
void Plan<T>::fill(Group<T>& g) const {
  g.n = n_;
  g.in_count = g.out_count = n_;
  g.stages = stages_.data();
  g.stage_count = static_cast<int>(stages_.size());
  g.chirp = stages_.empty() ? &chirp_ : nullptr;
}

template <class T>
int64_t Plan<T>::scratch_size() const {
  const int64_t longest = stages_.empty() ? chirp_.padded : n_;
  return 4 * (longest + 1) * kernels<T>().lanes;
}

template <class T>
bool Plan<T>::is_long() const {
  return (stages_.empty() ? chirp_.padded : n_) > kLongest<T>;
}

template <class T>
void Plan<T>::transform_row(const T* in, T* out, bool inverse, T scale) const {
  if (stages_.empty()) return row_by_chirp(in, out, inverse, scale);
  std::call_once(split_once_, [this] { make_split(); });
  if (columns_ <= 1 || columns_ == n_) return row_by_group(in, out, inverse, scale);
  row_by_split(in, out, inverse, scale);
}

template <class T>
void Plan<T>::row_by_group(const T* in, T* out, bool inverse, T scale) const {
  const Tensor scratch = scratch_of(scratch_size(), sizeof(T));
  Group<T> g;
  fill(g);
  g.lines = 1;
  std::fill_n(g.in, kMaxLanes, in);
  g.out[0] = out;
  g.swap_in = g.swap_out = inverse;
  g.scale = scale;
  g.scratch = static_cast<T*>(scratch.raw());
  kernels<T>().group(g);
}

template <class T>
void Plan<T>::make_split() const {
  const int64_t lanes = kernels<T>().lanes;
  columns_ = n_ < 64 ? n_ : split_of(n_, lanes);
  if (columns_ <= 1 || columns_ == n_) return;
  const int64_t rows = n_ / columns_;
  over_rows_ = of(rows);
  over_columns_ = of(columns_);
  const int64_t blocks = (columns_ + lanes - 1) / lanes;
  split_twiddles_.assign(static_cast<size_t>(blocks * rows * 2 * lanes), T(0));
  const Roots roots(n_);
  T* to = split_twiddles_.data();
  for (int64_t b = 0; b < blocks; ++b) {
    for (int64_t k = 0; k < rows; ++k, to += 2 * lanes) {
      for (int64_t l = 0; l < lanes; ++l) {
        const auto z = roots(k * std::min(b * lanes + l, columns_ - 1));
        to[l] = static_cast<T>(z.real());
        to[lanes + l] = static_cast<T>(z.imag());
      }
    }
  }
}

// Element (r, c) of the line is in[r * columns + c], and element (k2, k1) of the result
// out[k2 * rows + k1]: columns first, then, transposed between, what were rows.
template <class T>
void Plan<T>::row_by_split(const T* in, T* out, bool inverse, T scale) const {
  const int64_t lanes = kernels<T>().lanes, columns = columns_, rows = n_ / columns;
  const Tensor between = scratch_of(2 * n_, sizeof(T));
  T* middle = static_cast<T*>(between.raw());
  auto step = [&](const Plan& plan, int64_t width, bool first) {
    const int64_t blocks = (width + lanes - 1) / lanes;
    const int64_t grain = std::max<int64_t>(1, 16384 / (plan.n_ * lanes));
    parallel_for(blocks, grain, [&](int64_t begin, int64_t end, int) {
      const Tensor scratch = scratch_of(plan.scratch_size(), sizeof(T));
      for (int64_t b = begin; b < end; ++b) {
        Group<T> g;
        plan.fill(g);
        g.scratch = static_cast<T*>(scratch.raw());
        g.lines = static_cast<int>(std::min(lanes, width - b * lanes));
        g.in_stride = 2 * width;
        g.in_columns = true;
        g.out_stride = first ? 2 : 2 * width;
        g.out_columns = !first;
        for (int l = 0; l < kMaxLanes; ++l) {
          const int64_t at = b * lanes + (l < g.lines ? l : 0);
          g.in[l] = (first ? in : middle) + 2 * at;
          g.out[l] = first ? middle + 2 * at * plan.n_ : out + 2 * at;
        }
        if (first) {
          g.swap_in = inverse;
          g.twiddles = split_twiddles_.data() + b * plan.n_ * 2 * lanes;
        } else {
          g.swap_out = inverse;
          g.scale = scale;
        }
        kernels<T>().group(g);
      }
    });
  };
  step(*over_rows_, columns, true);
  step(*over_columns_, rows, false);
}

template <class T>
void Plan<T>::row_by_chirp(const T* in, T* out, bool inverse, T scale) const {
  const Tensor work = scratch_of(2 * chirp_.padded, sizeof(T));
  T* z = static_cast<T*>(work.raw());
  for (int64_t j = 0; j < n_; ++j) {
    z[2 * j] = in[2 * j + (inverse ? 1 : 0)];
    z[2 * j + 1] = in[2 * j + (inverse ? 0 : 1)];
  }
  std::fill(z + 2 * n_, z + 2 * chirp_.padded, T(0));
  kernels<T>().multiply(z, chirp_.chirp, n_);
  padded_->transform_row(z, z, false, 1);
  kernels<T>().multiply(z, chirp_.spectrum, chirp_.padded);
  padded_->transform_row(z, z, true, scale);
  kernels<T>().multiply(z, chirp_.chirp, n_);
  for (int64_t j = 0; j < n_; ++j) {
    out[2 * j] = z[2 * j + (inverse ? 1 : 0)];
    out[2 * j + 1] = z[2 * j + (inverse ? 0 : 1)];
  }
}

template <class T>
const T* Plan<T>::real_roots() const {
  std::call_once(roots_once_, [this] {
    const Roots roots(2 * n_);
    for (int64_t k = 0; k <= n_ / 2; ++k) push(real_roots_, roots(k));
  });
  return real_roots_.data();
}

template class Plan<float>;
template class Plan<double>;

}  // namespace tallow::spectral
