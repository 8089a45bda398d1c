// The forms that kernels repacked the bytes of buffers into, and the memory that they share.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace tallow {

struct PackedForm {
  std::shared_ptr<void> form;  // null: not kept
  int64_t bytes = 0;           // that it takes of the budget
  size_t place = 0;            // among the kept
  uint32_t uses = 0, era = 0;  // how often it was asked for, as of that era
  bool making = false;
};

/// By offset and key.
struct PackedForms : std::map<std::pair<int64_t, int64_t>, PackedForm> {};

/// Keeps what is used most often, within a limit of bytes. Uses are counted, and the counts halved
/// from time to time; of forms that do not fit, one is kept in place of others that were used less
/// than it was. (Replacing the least recently used would keep nothing of a model that is larger
/// than the limit: each pass uses all of its weights in turn.) Forms that somebody holds are never
/// dropped, so that `in_use` is what they take.
class FormMemory {
 public:
  using Make = std::function<std::shared_ptr<void>()>;

  static FormMemory& instance();
  /// See Buffer::packed. `forms` are the buffer's, or null so far.
  std::shared_ptr<void> get(std::atomic<PackedForms*>& forms, int64_t offset, int64_t key,
                            int64_t bytes, const Make& make);
  /// Drops all forms of a buffer.
  void forget(std::atomic<PackedForms*>& forms);
  /// Whether a form of the bytes at `offset` is kept.
  bool keeps(const std::atomic<PackedForms*>& forms, int64_t offset);

  int64_t limit();
  void set_limit(int64_t bytes);
  int64_t in_use();

 private:
  using Dropped = std::vector<std::shared_ptr<void>>;

  uint32_t uses_of(PackedForm& form) const;
  uint32_t count_use(PackedForm& form);
  PackedForm* least_used();
  bool make_room(int64_t bytes, uint32_t uses, Dropped& dropped);
  void drop(PackedForm& form, Dropped& dropped);
  int64_t current_limit();

  std::mutex mutex_;
  std::condition_variable made_;
  std::vector<PackedForm*> kept_;
  size_t hand_ = 0;  // where least_used() looks next
  int64_t limit_ = -1, in_use_ = 0;
  int64_t known_ = 0, uses_ = 0;  // forms of any buffer, kept or not; uses in this era
  uint32_t era_ = 0;
};

}  // namespace tallow
