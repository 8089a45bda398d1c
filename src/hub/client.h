// Requests as the hub's protocol wants them: who asks, redirects, retries, and errors that say what
// to do.
#pragma once

#include <functional>
#include <string>

#include "hub/http.h"
#include "hub/work.h"
#include "tallow/hub.h"

namespace tallow::hub {

/// What the answers on the way told about a file.
struct Answer {
  HttpReply reply = {};                   ///< the last one
  Url url = {};                           ///< and where it came from
  std::string commit = {}, etag = {};     ///< as the hub names them, checked; or empty
  std::optional<int64_t> file_size = {};  ///< of the linked file, if there is one
};

/// What a request is about, for messages.
struct Subject {
  const Repo& repo;
  std::string file = {};
};

/// An answer that says to come back later: `wait` seconds, or -1 when it does not say.
class Later : public HubError {
 public:
  Later(Kind kind, const std::string& message, double seconds)
      : HubError(kind, message), wait(seconds) {}
  double wait;
};

/// The repository has no such file at this commit (empty when the hub does not say).
class Missing : public HubError {
 public:
  Missing(const std::string& message, std::string at)
      : HubError(Kind::no_entry, message), commit(std::move(at)) {}
  std::string commit;
};

class Client {
 public:
  Client(const Settings& settings, Board& board);

  const Settings& settings() const { return settings_; }

  /// {endpoint}/api/models/org/name/{rest}
  Url api_url(const Repo& repo, const std::string& rest) const;
  /// {endpoint}/org/name/resolve/{revision}/{file}
  Url file_url(const Repo& repo, const std::string& revision, const std::string& file) const;

  /// The head of a file. Stops where a redirect leaves the hub, whose answer is the last one then.
  Answer head(const Url& url, const Subject& subject);
  /// A small answer whole, at most `limit` bytes.
  std::string get(const Url& url, const Subject& subject, Answer& answer, size_t limit = 16 << 20);
  /// A body in pieces, from wherever redirects lead. `on_head` sees the answer that has it.
  using OnHead = std::function<void(const Answer&)>;
  Answer stream(const Url& url, const Subject& subject, const Headers& headers,
                const OnHead& on_head, const Http::OnBody& on_body);

  /// Calls `attempt` again after failures that may pass, with pauses; `progressed` tells whether
  /// there was any since the last one, which begins the count anew.
  void retry(const std::function<void()>& attempt, const std::function<bool()>& progressed = {});

  void check_cancelled() const;
  /// Sleeps, unless cancelled.
  void sleep(double seconds) const;

 private:
  HttpRequest request(const std::string& method, const Url& url, const Headers& headers) const;
  void learn(const Url& url, const HttpReply& reply, Answer& answer) const;
  Answer follow(const std::string& method, const Url& url, const Subject& subject,
                const Headers& headers, const Patience& patience, const OnHead& on_head,
                const Http::OnBody& on_body);

  Settings settings_;
  Url endpoint_;
  Board& board_;
  Http http_;
};

/// Throws what an answer that is neither success nor redirect means.
[[noreturn]] void raise_status(const HttpReply& reply, const Url& url, const Subject& subject,
                               const Settings& settings);
/// Seconds to wait by Retry-After or RateLimit; -1 when neither says.
double retry_delay(const HttpReply& reply);
/// Whether asking again may help.
bool may_pass(const HubError& error);

}  // namespace tallow::hub
