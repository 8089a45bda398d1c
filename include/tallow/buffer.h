// Counted bytes on a device: owned (from the pool), mapped from a file, borrowed, or made when they
// are first read.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "tallow/device.h"

namespace tallow {

struct PackedForms;

/// Where the bytes of a deferred buffer come from. Called by several threads at once.
class BufferSource {
 public:
  virtual ~BufferSource() = default;
  /// Writes bytes [begin, end) to `out`. Both ends are multiples of a row of the tensor.
  virtual void read(int64_t begin, int64_t end, std::byte* out) const = 0;
  /// Says that bytes [begin, end) were read, and are kept elsewhere now.
  virtual void release(int64_t begin, int64_t end) const { (void)begin, (void)end; }
};

class Buffer {
  class Key {};  // so that only allocate and wrap construct one

 public:
  explicit Buffer(Key) {}
  enum class Kind : uint8_t { owned, mapped, borrowed };

  /// Uninitialized bytes from the device's pool, aligned to 64. Throws Error when there are none.
  static std::shared_ptr<Buffer> allocate(int64_t bytes, Device device = cpu_device);
  /// Memory that `owner` keeps alive (a file's mapping, an array of the caller's). Read-only where
  /// the kind is `mapped`.
  static std::shared_ptr<Buffer> wrap(void* data, int64_t bytes, std::shared_ptr<void> owner,
                                      Kind kind, Device device = cpu_device);
  /// Bytes that `source` makes when they are first asked for. A kernel that repacks them reads the
  /// source instead, so that they are in memory once.
  static std::shared_ptr<Buffer> deferred(int64_t bytes,
                                          std::shared_ptr<const BufferSource> source);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  std::byte* data() const { return deferred_ ? made() : data_; }
  int64_t bytes() const { return bytes_; }
  Device device() const { return device_; }
  Kind kind() const { return kind_; }

  /// The form that a kernel repacked [offset, ...) of this buffer into, made by `make` on first
  /// use and kept as long as the buffer. `key` tells forms of the same bytes apart. One of `bytes`
  /// that can be made again is kept while weight_memory() has room for it, and null where it has
  /// none: forms that are used more often have the room.
  std::shared_ptr<void> packed(int64_t offset, int64_t key,
                               const std::function<std::shared_ptr<void>()>& make,
                               int64_t bytes = 0);
  /// The source of a deferred buffer whose bytes were not made yet, or null.
  const BufferSource* source() const;

  /// Where the columns of the matrix that this holds stand in another order: column j of the bytes
  /// is column column_order()[j] of the matrix. Null where they do not. Linear, embedding_rows and
  /// to() undo it.
  using ColumnOrder = std::shared_ptr<const std::vector<int32_t>>;
  const ColumnOrder& column_order() const { return column_order_; }
  void set_column_order(ColumnOrder order) { column_order_ = std::move(order); }

  /// How often the bytes were changed in place.
  uint32_t version() const { return version_.load(std::memory_order_relaxed); }
  /// Notes a change in place: counts it, and drops the forms that kernels repacked.
  void modified();
  /// Counts on from the version of the memory that this buffer replaces.
  void continue_version(uint32_t version) { version_.store(version, std::memory_order_relaxed); }
  /// Tells the system that mapped pages of [offset, offset + bytes) are no longer needed in memory
  /// (they are read again from the file when touched), or the same to the source of a deferred one.
  /// Does nothing for other kinds.
  void release_pages(int64_t offset, int64_t bytes);
  /// Asks the system to read the mapped pages of [offset, offset + bytes), if no form of what
  /// begins there is kept.
  void will_need(int64_t offset, int64_t bytes) const;

 private:
  struct Deferred;
  std::byte* made() const;

  std::byte* data_ = nullptr;
  int64_t bytes_ = 0;
  std::shared_ptr<Deferred> deferred_;
  ColumnOrder column_order_;
  Device device_;
  Kind kind_ = Kind::owned;
  std::shared_ptr<void> owner_;
  std::atomic<uint32_t> version_{0};
  std::atomic<PackedForms*> forms_{nullptr};
};

/// Bytes in use and kept for reuse by the CPU's pool.
struct PoolStats {
  int64_t in_use, cached, peak;
};
PoolStats pool_stats();
/// Returns the pool's unused memory to the system.
void trim_pool();

/// The most bytes that all weights' repacked forms may take together. Weights that find no room are
/// repacked for each product, some rows at a time. At first TALLOW_WEIGHT_MEMORY, in gigabytes;
/// else four fifths of the memory that this process may take.
int64_t weight_memory();
/// Drops forms that are beyond the new limit, but for those that a product reads right now.
void set_weight_memory(int64_t bytes);
int64_t weight_memory_in_use();

}  // namespace tallow
