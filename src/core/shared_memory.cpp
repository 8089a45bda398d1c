// The list of memory that was handed out.
#include "tallow/shared_memory.h"

#include <atomic>
#include <mutex>
#include <unordered_map>

namespace tallow {
namespace {

struct Shared {
  std::mutex mutex;
  std::unordered_map<const Buffer*, std::weak_ptr<Buffer>> buffers;
  size_t limit = 64;  // how many before those that are gone are looked for
  std::atomic<bool> any{false};
};

Shared& shared() {
  static Shared instance;
  return instance;
}

}  // namespace

void note_shared(const std::shared_ptr<Buffer>& buffer) {
  Shared& s = shared();
  const std::lock_guard lock(s.mutex);
  if (s.buffers.size() >= s.limit) {
    std::erase_if(s.buffers, [](const auto& entry) { return entry.second.expired(); });
    s.limit = 2 * s.buffers.size() + 64;
  }
  s.buffers[buffer.get()] = buffer;
  s.any.store(true, std::memory_order_release);
}

bool is_shared(const std::shared_ptr<Buffer>& buffer) {
  if (buffer->kind() == Buffer::Kind::borrowed) return true;
  Shared& s = shared();
  if (!s.any.load(std::memory_order_acquire)) return false;
  const std::lock_guard lock(s.mutex);
  const auto found = s.buffers.find(buffer.get());
  return found != s.buffers.end() && !found->second.expired();
}

}  // namespace tallow
