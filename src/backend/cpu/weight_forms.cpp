// Which form a weight takes, and how it is made, whole or some rows at a time.
#include "backend/cpu/weight_forms.h"

#include <algorithm>
#include <vector>

#include "backend/cpu/gemm/driver.h"
#include "backend/cpu/quant/quant.h"

namespace tallow::cpu {
namespace {

constexpr int64_t kSliceBytes = 8 << 20;  // of a weight that finds no room
constexpr int64_t kSliceRows = 64;        // a multiple of every product's unit

// Weights from a file never change, so that their packed form can be kept in place of them.
bool keeps_packed_form(const Tensor& weight) {
  return weight.buffer()->kind() == Buffer::Kind::mapped && weight.is_contiguous();
}

Weight::Form form_of(const Tensor& weight) {
  if (is_block(weight.dtype())) {
    // Block types have no cheaper way: a weight in memory is packed and kept as well.
    return has_packed_form(weight.dtype()) && weight.is_contiguous() ? Weight::Form::blocks
                                                                     : Weight::Form::rows;
  }
  if (!keeps_packed_form(weight)) return Weight::Form::rows;
  if (weight.dtype() == DType::f32) return Weight::Form::groups;
  if (weight.dtype() == DType::bf16) return Weight::Form::pairs;
  return Weight::Form::rows;
}

int64_t form_bytes(const Weight& w) {
  if (w.form == Weight::Form::blocks) return PackedBlocks::bytes(w.dtype, w.n, w.k);
  const int64_t words = w.form == Weight::Form::groups ? w.k : round_up(w.k, 32) / 2;
  return round_up(w.n, kGroup) * words * 4;
}

// Has the pages of a weight read while those before them are packed, and gives back what was
// packed.
class Pages {
 public:
  explicit Pages(const Tensor& weight) : weight_(weight) { need(0, 2 * kAhead); }
  void read(int64_t offset, int64_t bytes) const {
    weight_.buffer()->release_pages(weight_.offset() + offset,
                                    std::min(bytes, weight_.nbytes() - offset));
    need(offset + bytes + kAhead, bytes);
  }

 private:
  static constexpr int64_t kAhead = 16 << 20;  // as much as is packed at once

  void need(int64_t offset, int64_t bytes) const {
    bytes = std::min(bytes, weight_.nbytes() - offset);
    if (bytes > 0) weight_.buffer()->will_need(weight_.offset() + offset, bytes);
  }

  const Tensor& weight_;
};

std::shared_ptr<void> make_form(const Tensor& weight) {
  Buffer& buffer = *weight.buffer();
  const int64_t n = weight.size(0), k = weight.size(1);
  const Pages pages(weight);
  const auto read = [&](int64_t offset, int64_t bytes) { pages.read(offset, bytes); };
  if (weight.dtype() == DType::f32) return pack_groups(weight.data<float>(), n, k, read);
  if (weight.dtype() == DType::bf16) return pack_pairs(weight.data<uint16_t>(), n, k, read);
  if (const BufferSource* source = buffer.source()) {
    const auto rows = [&](int64_t begin, int64_t end, std::byte* out) {
      source->read(weight.offset() + begin, weight.offset() + end, out);
    };
    return pack_blocks(weight.dtype(), rows, n, k, read);
  }
  return pack_blocks(weight.dtype(), weight.raw(), n, k, read);
}

}  // namespace

HeldWeight hold(const Tensor& weight, const Tensor& bias) {
  HeldWeight held;
  Weight& w = held.weight;
  w.form = form_of(weight);
  w.dtype = weight.dtype();
  w.n = weight.size(0), w.k = weight.size(1);
  w.n_stride = weight.strides()[0], w.k_stride = weight.strides()[1];
  w.bias = bias ? bias.raw() : nullptr;
  if (w.form == Weight::Form::rows || w.n == 0 || w.k == 0) {
    w.data = weight.raw();
    return held;
  }
  const int64_t key = static_cast<int64_t>(w.dtype) << 48 ^ w.n << 24 ^ w.k;
  held.form = weight.buffer()->packed(
      weight.offset(), key, [&] { return make_form(weight); }, form_bytes(w));
  w.data = held.form.get();
  return held;
}

void in_slices(std::span<const Tensor> weights, std::span<const Weight> held,
               const std::function<void(std::span<const Weight>, int64_t)>& multiply) {
  const int64_t n = held[0].n;
  int64_t row_bytes = 0;
  for (const Weight& w : held) row_bytes += ceil_div(form_bytes(w), n);
  const int64_t step = std::max(kSliceRows, kSliceBytes / row_bytes / kSliceRows * kSliceRows);
  for (int64_t row = 0; row < n; row += step) {
    std::vector<Weight> slices(held.begin(), held.end());
    std::vector<std::shared_ptr<void>> forms;
    for (size_t i = 0; i < slices.size(); ++i) {
      Weight& slice = slices[i];
      slice.n = std::min(step, n - row);
      forms.push_back(make_form(weights[i].narrow(0, row, slice.n)));
      slice.data = forms.back().get();
      if (slice.bias) slice.bias = static_cast<const float*>(slice.bias) + row;
    }
    multiply(slices, row);
  }
}

}  // namespace tallow::cpu
