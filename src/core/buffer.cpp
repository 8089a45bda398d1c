// Owned, mapped, borrowed and deferred bytes.
#include "tallow/buffer.h"

#include <sys/mman.h>
#include <unistd.h>

#include <mutex>

#include "core/packed_forms.h"
#include "core/pool.h"
#include "core/recycle.h"
#include "tallow/error.h"

namespace tallow {

std::shared_ptr<Buffer> Buffer::allocate(int64_t bytes, Device device) {
  if (device.kind != DeviceKind::cpu) {
    fail("allocate: this build has no ", to_string(device), " backend; use the CPU");
  }
  auto buffer = std::allocate_shared<Buffer>(Recycler<Buffer>(), Key());
  buffer->data_ = pool_allocate(bytes);
  buffer->bytes_ = bytes;
  buffer->device_ = device;
  return buffer;
}

std::shared_ptr<Buffer> Buffer::wrap(void* data, int64_t bytes, std::shared_ptr<void> owner,
                                     Kind kind, Device device) {
  auto buffer = std::allocate_shared<Buffer>(Recycler<Buffer>(), Key());
  buffer->data_ = static_cast<std::byte*>(data);
  buffer->bytes_ = bytes;
  buffer->owner_ = std::move(owner);
  buffer->kind_ = kind;
  buffer->device_ = device;
  return buffer;
}

struct Buffer::Deferred {
  std::shared_ptr<const BufferSource> source;
  std::once_flag once;
  std::atomic<std::byte*> data{nullptr};
};

std::shared_ptr<Buffer> Buffer::deferred(int64_t bytes,
                                         std::shared_ptr<const BufferSource> source) {
  auto buffer = std::allocate_shared<Buffer>(Recycler<Buffer>(), Key());
  buffer->bytes_ = bytes;
  buffer->deferred_ = std::make_shared<Deferred>();
  buffer->deferred_->source = std::move(source);
  return buffer;
}

std::byte* Buffer::made() const {
  std::call_once(deferred_->once, [this] {
    std::byte* data = pool_allocate(bytes_);
    try {
      deferred_->source->read(0, bytes_, data);
    } catch (...) {
      pool_free(data, bytes_);
      throw;
    }
    deferred_->source->release(0, bytes_);
    deferred_->data.store(data, std::memory_order_release);
  });
  return deferred_->data.load(std::memory_order_relaxed);
}

const BufferSource* Buffer::source() const {
  if (!deferred_ || deferred_->data.load(std::memory_order_acquire)) return nullptr;
  return deferred_->source.get();
}

Buffer::~Buffer() {
  if (forms_.load(std::memory_order_acquire)) FormMemory::instance().forget(forms_);
  std::byte* own = deferred_ ? deferred_->data.load(std::memory_order_relaxed) : data_;
  if (kind_ == Kind::owned && own) pool_free(own, bytes_);
}

std::shared_ptr<void> Buffer::packed(int64_t offset, int64_t key,
                                     const std::function<std::shared_ptr<void>()>& make,
                                     int64_t bytes) {
  return FormMemory::instance().get(forms_, offset, key, bytes, make);
}

void Buffer::modified() {
  version_.fetch_add(1, std::memory_order_relaxed);
  if (forms_.load(std::memory_order_acquire)) FormMemory::instance().forget(forms_);
}

void Buffer::will_need(int64_t offset, int64_t bytes) const {
  if (kind_ != Kind::mapped || FormMemory::instance().keeps(forms_, offset)) return;
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(data_ + offset);
  const uintptr_t first = begin / page * page;
  madvise(reinterpret_cast<void*>(first), begin + static_cast<uintptr_t>(bytes) - first,
          MADV_WILLNEED);
}

void Buffer::release_pages(int64_t offset, int64_t bytes) {
  if (deferred_) return deferred_->source->release(offset, offset + bytes);
  if (kind_ != Kind::mapped) return;
  // Only pages that lie wholly inside: the ones at the edges belong to neighbours too.
  auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  auto begin = reinterpret_cast<uintptr_t>(data_ + offset);
  auto end = (begin + static_cast<uintptr_t>(bytes)) / page * page;
  begin = (begin + page - 1) / page * page;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace tallow
