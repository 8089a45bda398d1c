// Packed and transformed weights, kept in the side slots of their buffers.
#include <map>
#include <mutex>

#include "backend/cpu/conv/conv.h"
#include "tallow/shared_memory.h"

namespace tallow::cpu {
namespace {

// The forms of memory that others write to, as it was when it had the fingerprint.
struct Checked {
  std::mutex mutex;
  Fingerprint fingerprint;
  std::map<int64_t, std::shared_ptr<void>> forms;
};

constexpr int64_t kCheckedKey = int64_t{1} << 62;

}  // namespace

KeptForms::KeptForms(const Tensor& weight) : weight_(weight), shared_(is_shared(weight.buffer())) {}

std::shared_ptr<void> KeptForms::get(int64_t key,
                                     const std::function<std::shared_ptr<void>()>& make) const {
  Buffer& buffer = *weight_.buffer();
  if (!shared_) return buffer.packed(weight_.offset(), key, make);
  const std::shared_ptr<void> slot = buffer.packed(weight_.offset(), kCheckedKey ^ weight_.numel(),
                                                   [] { return std::make_shared<Checked>(); });
  Fingerprint now;
  conv_kernels().fingerprint(static_cast<const uint32_t*>(weight_.raw()), weight_.numel(), now);
  Checked& checked = *static_cast<Checked*>(slot.get());
  const std::lock_guard lock(checked.mutex);
  if (checked.fingerprint != now) {
    checked.forms.clear();
    checked.fingerprint = now;
  }
  std::shared_ptr<void>& form = checked.forms[key];
  if (!form) form = make();
  return form;
}

}  // namespace tallow::cpu
