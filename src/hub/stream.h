// Bytes to and from another machine, with time limits.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "hub/url.h"

namespace tallow::hub {

/// What bounds waiting for the other side.
struct Patience {
  double seconds = 10;                         ///< without progress
  const std::atomic<bool>* cancel = nullptr;   ///< set by another thread
  std::chrono::steady_clock::time_point until  ///< in all
      = std::chrono::steady_clock::time_point::max();
};

/// Both ends throw HubError: `network` for what may go better next time, `cancelled`.
class Stream {
 public:
  virtual ~Stream() = default;
  /// At least one byte, or 0 when the other side closed in order.
  virtual size_t read_some(void* to, size_t bytes) = 0;
  virtual size_t write_some(const void* from, size_t bytes) = 0;
  virtual void set_patience(const Patience& patience) = 0;
};

/// A TCP connection to the host and port of `url`, whose addresses are tried in order.
std::unique_ptr<Stream> connect_tcp(const Url& url, const Patience& patience);
/// TLS over `below` for the host of `url`, whose certificate is checked.
std::unique_ptr<Stream> start_tls(std::unique_ptr<Stream> below, const Url& url);

}  // namespace tallow::hub
