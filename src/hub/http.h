// HTTP/1.1 requests over connections that are kept and used again.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hub/stream.h"

namespace tallow::hub {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method = "GET";
  Url url;
  Headers headers = {};
};

/// The head of an answer.
struct HttpReply {
  int status = 0;
  Headers headers = {};

  /// The first header of that name, in any case.
  std::optional<std::string_view> find(std::string_view name) const;
  /// A header that is a whole number. Throws HubError when it is there and is none.
  std::optional<int64_t> number(std::string_view name) const;
};

/// Connections to servers and through proxies. Safe to use from several threads.
class Http {
 public:
  /// Decides from the head whether the body is wanted.
  using OnHead = std::function<bool(const HttpReply&)>;
  using OnBody = std::function<void(std::span<const char>)>;

  /// Sends a request, once more if a kept connection turns out closed. The whole body goes to
  /// `on_body` in pieces. Throws HubError, and whatever the two throw.
  HttpReply exchange(const HttpRequest& request, const Patience& patience, const OnHead& on_head,
                     const OnBody& on_body);

 private:
  struct Idle {
    std::string key;
    std::unique_ptr<Stream> stream;
  };
  std::unique_ptr<Stream> take(const std::string& key);
  void keep(const std::string& key, std::unique_ptr<Stream> stream);

  std::mutex mutex_;
  std::vector<Idle> idle_;
};

/// The head of an answer from text, for tests and fuzzing. Throws HubError.
HttpReply parse_reply_head(std::string_view text);

}  // namespace tallow::hub
