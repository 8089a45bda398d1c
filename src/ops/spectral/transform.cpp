// Groups the lines of a tensor for the kernels, or takes long ones one by one.
#include "ops/spectral/transform.h"

#include <algorithm>

#include "tallow/parallel.h"
#include "tallow/tensor.h"

namespace tallow::spectral {
namespace {

// Where the lines start, one after the other.
template <class T>
class Starts {
 public:
  Starts(const Pass<T>& pass, int64_t line) : pass_(pass), at_(pass.sizes) {
    for (int i = at_.size() - 1; i >= 0; --i) {
      at_[i] = line % pass.sizes[i];
      line /= pass.sizes[i];
      in_ += at_[i] * pass.in_strides[i];
      out_ += at_[i] * pass.out_strides[i];
    }
  }
  const T* in() const { return pass_.in + in_; }
  T* out() const { return pass_.out + out_; }
  void next() {
    for (int i = at_.size() - 1; i >= 0; --i) {
      in_ += pass_.in_strides[i];
      out_ += pass_.out_strides[i];
      if (++at_[i] < pass_.sizes[i]) return;
      in_ -= at_[i] * pass_.in_strides[i];
      out_ -= at_[i] * pass_.out_strides[i];
      at_[i] = 0;
    }
  }

 private:
  const Pass<T>& pass_;
  Shape at_;
  int64_t in_ = 0, out_ = 0;
};

// What is the same for all groups of a pass.
template <class T>
Group<T> group_of(const Pass<T>& p, const Plan<T>& plan) {
  using Real = typename Group<T>::Real;
  Group<T> g;
  plan.fill(g);
  g.scale = p.scale;
  g.in_stride = p.in_step;
  g.out_stride = p.out_step;
  const bool even = p.n % 2 == 0;
  if (p.kind == Kind::complex) {
    g.swap_in = g.swap_out = p.inverse;
  } else if (p.kind == Kind::real_to_complex) {
    g.out_count = p.n / 2 + 1;
    g.in_imag = even ? p.in_step : 0;
    g.in_stride = even ? 2 * p.in_step : p.in_step;
    g.swap_in = g.swap_out = !even && p.inverse;
    if (even) {
      g.real = Real::forward;
      g.real_roots = plan.real_roots();
      g.conjugate = p.inverse ? T(-1) : T(1);
    }
  } else {
    g.in_count = p.n / 2 + 1;
    g.out_imag = even ? p.out_step : 0;
    g.out_stride = even ? 2 * p.out_step : p.out_step;
    g.swap_out = true;
    g.real = Real::inverse;
    g.hermitian = !even;
    g.real_roots = even ? plan.real_roots() : nullptr;
    g.conjugate = p.inverse ? T(1) : T(-1);
  }
  return g;
}

template <class T, class P>
bool neighbours(P* const* lines, int count) {
  for (int l = 1; l < count; ++l) {
    if (lines[l] - lines[l - 1] != 2) return false;
  }
  return true;
}

template <class T>
void run_groups(const Pass<T>& p, const Plan<T>& plan, int64_t lines) {
  const int64_t lanes = kernels<T>().lanes, groups = (lines + lanes - 1) / lanes;
  const Group<T> common = group_of(p, plan);
  const int64_t grain = std::max<int64_t>(1, 16384 / (plan.n() * lanes));
  parallel_for(groups, grain, [&](int64_t begin, int64_t end, int) {
    const Tensor scratch =
        Tensor::empty({plan.scratch_size() * static_cast<int64_t>(sizeof(T))}, DType::u8);
    Starts<T> starts(p, begin * lanes);
    Group<T> g = common;
    g.scratch = static_cast<T*>(scratch.raw());
    for (int64_t b = begin; b < end; ++b) {
      g.lines = static_cast<int>(std::min(lanes, lines - b * lanes));
      for (int l = 0; l < kMaxLanes; ++l) {
        g.in[l] = l < g.lines ? starts.in() : g.in[0];
        g.out[l] = l < g.lines ? starts.out() : g.out[0];
        if (l < g.lines) starts.next();
      }
      g.in_columns = neighbours<T>(g.in, g.lines);
      g.out_columns = neighbours<T>(g.out, g.lines);
      kernels<T>().group(g);
    }
  });
}

template <class T>
void complex_row(const Pass<T>& p, const Plan<T>& plan, const T* in, T* out, T* row) {
  if (p.in_step != 2) {
    for (int64_t j = 0; j < p.n; ++j) std::copy_n(in + j * p.in_step, 2, row + 2 * j);
    in = row;
  }
  T* to = p.out_step == 2 ? out : row;
  plan.transform_row(in, to, p.inverse, p.scale);
  if (to == out) return;
  for (int64_t j = 0; j < p.n; ++j) std::copy_n(row + 2 * j, 2, out + j * p.out_step);
}

template <class T>
void forward_row(const Pass<T>& p, const Plan<T>& plan, const T* in, T* out, T* row) {
  const bool even = p.n % 2 == 0;
  const T* from = in;
  if (p.in_step != 1 || !even) {
    const int64_t step = even ? 1 : 2;
    for (int64_t j = 0; j < p.n; ++j) row[j * step] = in[j * p.in_step];
    for (int64_t j = 0; !even && j < p.n; ++j) row[2 * j + 1] = 0;
    from = row;
  }
  T* to = p.out_step == 2 && even ? out : row;
  plan.transform_row(from, to, !even && p.inverse, p.scale);
  if (even) {
    kernels<T>().real_forward(to, plan.real_roots(), p.n / 2, p.inverse ? T(-1) : T(1));
  }
  if (to == out) return;
  for (int64_t j = 0; j <= p.n / 2; ++j) std::copy_n(row + 2 * j, 2, out + j * p.out_step);
}

template <class T>
void inverse_row(const Pass<T>& p, const Plan<T>& plan, const T* in, T* out, T* row) {
  const bool even = p.n % 2 == 0;
  const T conjugate = p.inverse ? T(1) : T(-1);
  for (int64_t j = 0; j <= p.n / 2; ++j) std::copy_n(in + j * p.in_step, 2, row + 2 * j);
  if (even) {
    kernels<T>().real_inverse(row, plan.real_roots(), p.n / 2, conjugate);
  } else {
    row[1] = 0;
    for (int64_t j = 1; j <= p.n / 2; ++j) {
      row[2 * j + 1] *= conjugate;
      row[2 * (p.n - j)] = row[2 * j];
      row[2 * (p.n - j) + 1] = -row[2 * j + 1];
    }
  }
  T* to = p.out_step == 1 && even ? out : row;
  plan.transform_row(row, to, true, p.scale);
  if (to == out) return;
  for (int64_t j = 0; j < p.n; ++j) out[j * p.out_step] = row[even ? j : 2 * j];
}

template <class T>
void run_rows(const Pass<T>& p, const Plan<T>& plan, int64_t lines) {
  auto range = [&](int64_t begin, int64_t end, int) {
    const Tensor held = Tensor::empty({2 * (p.n + 2) * static_cast<int64_t>(sizeof(T))}, DType::u8);
    T* row = static_cast<T*>(held.raw());
    Starts<T> starts(p, begin);
    for (int64_t l = begin; l < end; ++l, starts.next()) {
      switch (p.kind) {
        case Kind::complex: complex_row(p, plan, starts.in(), starts.out(), row); break;
        case Kind::real_to_complex: forward_row(p, plan, starts.in(), starts.out(), row); break;
        case Kind::complex_to_real: inverse_row(p, plan, starts.in(), starts.out(), row); break;
      }
    }
  };
  if (lines < num_threads()) return range(0, lines, 0);  // each line is divided instead
  parallel_for(lines, std::max<int64_t>(1, 16384 / p.n), range);
}

}  // namespace

template <class T>
void transform(const Pass<T>& p) {
  const int64_t lines = p.sizes.numel();
  if (lines == 0) return;
  const bool packed = p.kind != Kind::complex && p.n % 2 == 0;
  const auto plan = Plan<T>::of(packed ? p.n / 2 : p.n);
  const bool few = lines <= kernels<T>().lanes / 4 && plan->n() >= 64;
  if (few || plan->is_long()) return run_rows(p, *plan, lines);
  run_groups(p, *plan, lines);
}

template void transform(const Pass<float>&);
template void transform(const Pass<double>&);

}  // namespace tallow::spectral
