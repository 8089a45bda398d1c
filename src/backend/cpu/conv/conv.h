// The CPU kernels of convolutions.
#pragma once

#include <functional>

#include "backend/cpu/conv/plan.h"

namespace tallow::cpu {

/// Results that stand at origin + step * position of a larger output.
struct Placement {
  int64_t step[3], origin[3], full[3];
};

/// The forms of a weight that are kept beside it. Memory that others write to may change unnoticed:
/// there the weight's fingerprint says whether a form still holds.
class KeptForms {
 public:
  explicit KeptForms(const Tensor& weight);
  std::shared_ptr<void> get(int64_t key, const std::function<std::shared_ptr<void>()>& make) const;

  /// Whether `get` must read the whole weight.
  bool shared() const { return shared_; }

 private:
  const Tensor& weight_;
  bool shared_;
};

/// All images and groups of one implicit product. x [batch, groups, channels, in], w [groups, outs,
/// depth], y [batch, groups, outs, out], contiguous.
template <class T>
struct Product {
  const Plan& plan;
  int64_t batch, groups, outs;
  const T* x;
  const T* w;
  const T* bias;      ///< [groups * outs], or null
  const T* residual;  ///< as y, or null
  ConvActivation activation;
  T* y;
  const Placement* placement = nullptr;  ///< null: y has the plan's pixels
  const KeptForms* kept = nullptr;       ///< where transformed weights are kept, if they may be
};
template <class T>
void run_conv(const Product<T>& product);

/// The form of the weights that `make` makes: kept beside them where it may be. `kind` tells the
/// forms of the same weights apart.
template <class T, class F>
std::shared_ptr<void> kept_form(const Product<T>& p, int64_t kind, const F& make) {
  if (!p.kept) return make();
  return p.kept->get(kind << 56 ^ p.groups << 44 ^ p.outs << 24 ^ p.plan.depth(), make);
}
/// Memory for such a form: from the pool where it is soon given back.
template <class T>
std::shared_ptr<std::byte> form_memory(const Product<T>& p, int64_t bytes) {
  if (p.kept) return packed_memory(bytes);
  const std::shared_ptr<Buffer> buffer = Buffer::allocate(bytes);
  return {buffer, buffer->data()};
}

/// Weights as tiles read them, [group][tile][depth][rows].
template <class T>
std::shared_ptr<void> pack_weights(const Product<T>& p, int64_t tile_rows);

/// Whether few channels and outputs make gathering pixels a large part of the work.
bool rows_fit(const Product<float>& product);
void run_rows(const Product<float>& product);
/// Whether Winograd's algorithm computes the product, and faster.
bool winograd_fits(const Product<float>& product);
void run_winograd(const Product<float>& product);
/// Whether groups have one channel each.
bool depthwise_fits(const Product<float>& product);
void run_depthwise(const Product<float>& product);
/// Whether tiles of bf16 compute the product, exactly enough and faster.
bool split_fits(const Product<float>& product);
void run_split(const Product<float>& product);
/// The same where the image's planes are split before pixels are picked.
bool planes_fit(const Product<float>& product);
void run_planes(const Product<float>& product);
/// Whether the product with pixels as rows wastes less.
bool turned_fits(const Product<float>& product);
void run_turned(const Product<float>& product);

template <class T>
double flops_of(const Product<T>& p) {
  return 2.0 * static_cast<double>(p.batch * p.groups * p.outs) *
         static_cast<double>(p.plan.pixels()) * static_cast<double>(p.plan.depth());
}

template <class T>
void conv_forward(Inputs in, const Tensor& y, const ConvOptions& o);
template <class T>
void conv_transposed(Inputs in, const Tensor& y, const ConvOptions& o);
template <class T>
void conv_weight(Inputs in, const Tensor& result, const ConvOptions& o);

void bind_conv();

}  // namespace tallow::cpu
