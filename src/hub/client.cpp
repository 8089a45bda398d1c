// One request through its redirects, and several until one succeeds.
#include "hub/client.h"

#include <algorithm>
#include <thread>

#include "hub/names.h"

namespace tallow::hub {
namespace {

using Kind = HubError::Kind;
using Clock = std::chrono::steady_clock;

constexpr int kMostRedirects = 10;
constexpr int kAttempts = 5;
constexpr double kLongestWait = 300;  // the hub counts requests in windows of five minutes
constexpr int64_t kSmall = 64 << 10;  // what is read rather than the connection closed

bool is_redirect(const HttpReply& reply) {
  constexpr int kCodes[] = {301, 302, 303, 307, 308};
  return std::find(std::begin(kCodes), std::end(kCodes), reply.status) != std::end(kCodes) &&
         reply.find("Location");
}

/// For small answers: some time between bytes, and a limit in all.
Patience brief(double seconds, const std::atomic<bool>& cancel) {
  const auto limit = std::chrono::duration<double>(30 * seconds);
  return {.seconds = seconds,
          .cancel = &cancel,
          .until = Clock::now() + std::chrono::duration_cast<Clock::duration>(limit)};
}

}  // namespace

Client::Client(const Settings& settings, Board& board)
    : settings_(settings), endpoint_(parse_url(settings.endpoint, "HF_ENDPOINT")), board_(board) {
  if (endpoint_.target == "/") endpoint_.target.clear();
}

Url Client::api_url(const Repo& repo, const std::string& rest) const {
  Url url = endpoint_;
  url.target += str("/api/", plural(repo.type), "/", repo.id, "/", rest);
  return url;
}

Url Client::file_url(const Repo& repo, const std::string& revision, const std::string& file) const {
  Url url = endpoint_;
  if (repo.type != RepoType::model) url.target += "/" + plural(repo.type);
  url.target +=
      str("/", repo.id, "/resolve/", percent_encoded(revision), "/", percent_encoded(file, "/"));
  return url;
}

HttpRequest Client::request(const std::string& method, const Url& url,
                            const Headers& headers) const {
  HttpRequest request{method, url, headers};
  request.headers.emplace_back("User-Agent", "tallow");
  request.headers.emplace_back("Accept", "*/*");
  request.headers.emplace_back("Accept-Encoding", "identity");  // lengths are those of the file
  if (!settings_.token.empty() && same_origin(url, endpoint_)) {
    request.headers.emplace_back("Authorization", "Bearer " + settings_.token);
  }
  return request;
}

/// Only the hub's own answers name commits and etags.
void Client::learn(const Url& url, const HttpReply& reply, Answer& answer) const {
  if (!same_origin(url, endpoint_)) return;
  if (const auto commit = reply.find("X-Repo-Commit")) {
    if (!is_commit(*commit)) {
      fail_hub(Kind::answer, url.host, ": X-Repo-Commit \"", commit->substr(0, 80),
               "\" is not a commit");
    }
    answer.commit = *commit;
  }
  const auto linked = reply.find("X-Linked-Etag");
  if (const auto etag = linked ? linked : reply.find("ETag")) answer.etag = normalized_etag(*etag);
  if (const auto size = reply.number("X-Linked-Size")) answer.file_size = size;
}

Answer Client::follow(const std::string& method, const Url& first, const Subject& subject,
                      const Headers& headers, const Patience& patience, const OnHead& on_head,
                      const Http::OnBody& on_body) {
  Answer answer{.url = first};
  for (int hop = 0; hop <= kMostRedirects; ++hop) {
    bool wanted = false;
    const auto head = [&](const HttpReply& reply) {
      learn(answer.url, reply, answer);
      answer.reply = reply;
      wanted = reply.status / 100 == 2;
      if (wanted && on_head) on_head(answer);
      return wanted || reply.number("Content-Length").value_or(kSmall) < kSmall;
    };
    int64_t rest = kSmall;  // of a body that nobody wants
    const auto body = [&](std::span<const char> piece) {
      if (wanted) return on_body(piece);
      rest -= static_cast<int64_t>(piece.size());
      if (rest < 0) fail_hub(Kind::network, answer.url.host, ": sends too much with an error");
    };
    const HttpReply reply =
        http_.exchange(request(method, answer.url, headers), patience, head, body);
    if (method == "HEAD") learn(answer.url, reply, answer);
    answer.reply = reply;
    if (reply.status / 100 == 2) return answer;
    if (!is_redirect(reply)) {
      // An address that the hub signed for a while may have expired: it gives a new one.
      if (!same_origin(answer.url, endpoint_) && reply.status / 100 == 4 && reply.status != 429) {
        throw Later(Kind::network,
                    str(answer.url.authority(),
                        ", to which the hub redirects, answers with status ", reply.status),
                    -1);
      }
      raise_status(reply, answer.url, subject, settings_);
    }
    const Url next = resolve_url(answer.url, *reply.find("Location"));
    if (answer.url.secure() && !next.secure()) {
      fail_hub(Kind::answer, answer.url.host, ": redirects from https to http (", next.host,
               "), which is not followed");
    }
    if (method == "HEAD" && !same_origin(next, endpoint_)) return answer;
    answer.url = next;
  }
  fail_hub(Kind::answer, first.text(), ": more than ", kMostRedirects, " redirects");
}

Answer Client::head(const Url& url, const Subject& subject) {
  return follow("HEAD", url, subject, {}, brief(settings_.metadata_timeout, board_.cancel), {}, {});
}

std::string Client::get(const Url& url, const Subject& subject, Answer& answer, size_t limit) {
  std::string text;
  answer = follow("GET", url, subject, {}, brief(settings_.metadata_timeout, board_.cancel), {},
                  [&](std::span<const char> piece) {
                    if (text.size() + piece.size() > limit) {
                      fail_hub(Kind::answer, url.text(), ": answers with more than ", limit,
                               " bytes; is it a hub?");
                    }
                    text.append(piece.data(), piece.size());
                  });
  return text;
}

Answer Client::stream(const Url& url, const Subject& subject, const Headers& headers,
                      const OnHead& on_head, const Http::OnBody& on_body) {
  const auto checked = [&](const Answer& answer) {
    const auto encoding = answer.reply.find("Content-Encoding");
    if (encoding && *encoding != "identity") {
      fail_hub(Kind::answer, answer.url.host, ": sends the file compressed (",
               encoding->substr(0, 40), "), which was not asked for");
    }
    on_head(answer);
  };
  return follow("GET", url, subject, headers,
                {.seconds = settings_.download_timeout, .cancel = &board_.cancel}, checked,
                on_body);
}

void Client::retry(const std::function<void()>& attempt, const std::function<bool()>& progressed) {
  for (int tries = 1;; ++tries) {
    try {
      attempt();
      return;
    } catch (const HubError& error) {
      if (!may_pass(error)) throw;
      if (progressed && progressed()) tries = 1;
      const auto* later = dynamic_cast<const Later*>(&error);
      const double asked = later ? later->wait : -1;
      if (tries >= kAttempts || asked > kLongestWait) throw;
      const double wait = asked >= 0 ? std::max(asked, 0.05) : 0.25 * (1 << tries) - 0.25;
      if (wait >= 1)
        board_.set_note(str("waiting ", static_cast<int64_t>(wait), " s: ", error.what()));
      sleep(wait);
      board_.set_note("");
    }
  }
}

void Client::sleep(double seconds) const {
  const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                      std::chrono::duration<double>(seconds));
  while (Clock::now() < end) {
    check_cancelled();
    std::this_thread::sleep_for(
        std::min<Clock::duration>(end - Clock::now(), std::chrono::milliseconds(50)));
  }
}

void Client::check_cancelled() const {
  if (board_.cancel) fail_hub(Kind::cancelled, "the download was stopped");
}

}  // namespace tallow::hub
