// Counting of uses, and the choice of what is kept.
#include "core/packed_forms.h"

#include <algorithm>
#include <cstdlib>

#include "core/usable_memory.h"
#include "tallow/buffer.h"
#include "tallow/error.h"

namespace tallow {
namespace {

constexpr size_t kLooks = 64;         // forms that are compared for the least used one
constexpr int64_t kUsesOfEra = 8;     // of each known form, on average
constexpr double kDefaultShare = .8;  // the rest is for activations, caches and other programs

int64_t default_limit() {
  const char* text = std::getenv("TALLOW_WEIGHT_MEMORY");
  if (!text || !*text) {
    return static_cast<int64_t>(kDefaultShare * static_cast<double>(usable_memory()));
  }
  char* end = nullptr;
  const double gigabytes = std::strtod(text, &end);
  if (*end || !(gigabytes >= 0 && gigabytes <= 1e6)) {
    fail("TALLOW_WEIGHT_MEMORY: '", text, "' is not a number of gigabytes from 0 to 1000000");
  }
  return static_cast<int64_t>(gigabytes * 1e9);
}

}  // namespace

FormMemory& FormMemory::instance() {
  static FormMemory* memory = new FormMemory;  // outlives every buffer
  return *memory;
}

std::shared_ptr<void> FormMemory::get(std::atomic<PackedForms*>& forms, int64_t offset, int64_t key,
                                      int64_t bytes, const Make& make) {
  Dropped dropped;
  std::unique_lock lock(mutex_);
  if (!forms.load()) forms.store(new PackedForms);
  const auto [found, fresh] = forms.load()->try_emplace({offset, key});
  PackedForm& form = found->second;
  if (fresh) ++known_, form.era = era_;
  made_.wait(lock, [&] { return !form.making; });
  const uint32_t uses = count_use(form);
  if (form.form) return form.form;
  if (bytes > 0 && !make_room(bytes, uses, dropped)) return nullptr;
  form.making = true, form.bytes = bytes, in_use_ += bytes;
  lock.unlock();
  dropped.clear();
  std::shared_ptr<void> made;
  try {
    made = make();
  } catch (...) {
    lock.lock();
    form.making = false, in_use_ -= bytes;
    made_.notify_all();
    throw;
  }
  lock.lock();
  form.making = false, form.form = made;
  if (bytes > 0) form.place = kept_.size(), kept_.push_back(&form);
  made_.notify_all();
  return made;
}

void FormMemory::forget(std::atomic<PackedForms*>& forms) {
  Dropped dropped;
  std::unique_lock lock(mutex_);
  const std::unique_ptr<PackedForms> all(forms.exchange(nullptr));
  for (auto& each : *all) {
    PackedForm& form = each.second;
    made_.wait(lock, [&] { return !form.making; });
    if (form.form) drop(form, dropped);
  }
  known_ -= static_cast<int64_t>(all->size());
}

bool FormMemory::keeps(const std::atomic<PackedForms*>& forms, int64_t offset) {
  const std::lock_guard lock(mutex_);
  const PackedForms* all = forms.load();
  if (!all) return false;
  for (auto form = all->lower_bound({offset, INT64_MIN});
       form != all->end() && form->first.first == offset; ++form) {
    if (form->second.form) return true;
  }
  return false;
}

uint32_t FormMemory::uses_of(PackedForm& form) const {
  const uint32_t eras = era_ - form.era;
  form.uses = eras < 32 ? form.uses >> eras : 0;
  form.era = era_;
  return form.uses;
}

/// The count as it was before.
uint32_t FormMemory::count_use(PackedForm& form) {
  if (++uses_ > kUsesOfEra * known_) uses_ = 0, ++era_;
  const uint32_t before = uses_of(form);
  ++form.uses;
  return before;
}

/// Of the next few; null where all of them are held.
PackedForm* FormMemory::least_used() {
  PackedForm* least = nullptr;
  for (size_t i = std::min(kLooks, kept_.size()); i > 0; --i) {
    PackedForm* form = kept_[hand_++ % kept_.size()];
    if (form->form.use_count() > 1) continue;
    if (!least || uses_of(*form) < uses_of(*least)) least = form;
  }
  return least;
}

/// For a form that was used `uses` times. Counts that differ by one may be those of two weights of
/// which each pass uses both.
bool FormMemory::make_room(int64_t bytes, uint32_t uses, Dropped& dropped) {
  if (bytes > current_limit()) return false;
  while (in_use_ > limit_ - bytes) {
    PackedForm* least = least_used();
    if (!least || uses <= uses_of(*least) + 1) return false;
    drop(*least, dropped);
  }
  return true;
}

/// Moves the form to `dropped`, to be freed when the lock was let go.
void FormMemory::drop(PackedForm& form, Dropped& dropped) {
  dropped.push_back(std::move(form.form));
  form.form = nullptr;
  if (form.bytes == 0) return;
  in_use_ -= form.bytes;
  kept_[form.place] = kept_.back();
  kept_[form.place]->place = form.place;
  kept_.pop_back();
}

int64_t FormMemory::current_limit() {
  if (limit_ < 0) limit_ = default_limit();
  return limit_;
}

int64_t FormMemory::limit() {
  const std::lock_guard lock(mutex_);
  return current_limit();
}

void FormMemory::set_limit(int64_t bytes) {
  if (bytes < 0) fail("set_weight_memory: ", bytes, " bytes are less than none");
  Dropped dropped;
  const std::lock_guard lock(mutex_);
  limit_ = bytes;
  while (in_use_ > limit_) {
    PackedForm* least = least_used();
    if (!least) return;
    drop(*least, dropped);
  }
}

int64_t FormMemory::in_use() {
  const std::lock_guard lock(mutex_);
  return in_use_;
}

int64_t weight_memory() { return FormMemory::instance().limit(); }
void set_weight_memory(int64_t bytes) { FormMemory::instance().set_limit(bytes); }
int64_t weight_memory_in_use() { return FormMemory::instance().in_use(); }

}  // namespace tallow
