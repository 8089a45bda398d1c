// One stream for a small file. A large one comes in ranges on several connections, and is written
// in order: what is on the disk is always the beginning of the file.
#include "hub/fetch.h"

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <utility>
#include <vector>

#include "hub/names.h"

namespace tallow::hub {
namespace {

using Kind = HubError::Kind;

constexpr int64_t kRange = int64_t{8} << 20;
constexpr int64_t kConnections = 8;
constexpr int64_t kAhead = kConnections + 2;  // ranges in memory

std::string label(const FetchTask& task) {
  return describe(task.subject.repo) + ": " + task.subject.file;
}

/// Throws when the hub names another content than was asked for.
void check_identity(const FetchTask& task, const Answer& answer) {
  const bool known = is_lower_hex(answer.etag, 64) || is_lower_hex(answer.etag, 40);
  if (known && !task.etag.empty() && answer.etag != task.etag) {
    fail_hub(Kind::answer, label(task), ": changed on the hub while it was downloaded (etag ",
             answer.etag, " instead of ", task.etag, "); download it again");
  }
}

/// Whether the answer begins at `begin`, as was asked; false when it is the whole file.
bool check_range(const FetchTask& task, const HttpReply& reply, int64_t begin) {
  if (reply.status != 206) return false;
  const std::string expected = str("bytes ", begin, "-");
  const std::string_view range = reply.find("Content-Range").value_or("");
  const size_t slash = range.find('/');
  if (!range.starts_with(expected) || slash == range.npos) {
    fail_hub(Kind::answer, label(task), ": the server sends another range (\"", range.substr(0, 80),
             "\") than was asked for");
  }
  int64_t total = 0;
  const std::string_view text = range.substr(slash + 1);
  const auto result = std::from_chars(text.data(), text.data() + text.size(), total);
  if (result.ec == std::errc() && task.size >= 0 && total != task.size) {
    fail_hub(Kind::answer, label(task), ": the server has ", total, " bytes of it instead of ",
             task.size);
  }
  return true;
}

[[noreturn]] void too_long(const FetchTask& task) {
  fail_hub(Kind::answer, label(task), ": the server sends more than the ", task.size,
           " bytes that it announced");
}

/// The rest of the file on one connection.
void fetch_stream(Client& client, const FetchTask& task, PartialFile& partial, Board& board,
                  FileState& state) {
  int64_t before = partial.size();
  const auto attempt = [&] {
    const int64_t begin = partial.size();
    if (begin == task.size && begin > 0) return;
    Headers headers;
    if (begin > 0) headers.emplace_back("Range", str("bytes=", begin, "-"));
    int64_t skip = 0;
    const auto on_head = [&](const Answer& answer) {
      check_identity(task, answer);
      skip = check_range(task, answer.reply, begin) ? 0 : begin;
    };
    const auto on_body = [&](std::span<const char> piece) {
      const auto skipped = std::min(skip, static_cast<int64_t>(piece.size()));
      skip -= skipped;
      piece = piece.subspan(static_cast<size_t>(skipped));
      if (task.size >= 0 && partial.size() + static_cast<int64_t>(piece.size()) > task.size) {
        too_long(task);
      }
      partial.append(piece);
      board.received += static_cast<int64_t>(piece.size());
      state.done = partial.size();
    };
    client.stream(task.url, task.subject, headers, on_head, on_body);
    if (task.size >= 0 && partial.size() < task.size) {
      fail_hub(Kind::network, label(task), ": ended after ", partial.size(), " of ", task.size,
               " bytes");
    }
  };
  const auto progressed = [&] { return partial.size() > std::exchange(before, partial.size()); };
  client.retry(attempt, progressed);
}

/// The rest of the file in ranges.
class RangeFetch {
 public:
  RangeFetch(Client& client, const FetchTask& task, PartialFile& partial, Board& board,
             FileState& state)
      : client_(client),
        task_(task),
        partial_(partial),
        board_(board),
        state_(state),
        begin_(partial.size()),
        count_((task.size - begin_ + kRange - 1) / kRange) {}

  /// False when the server knows no ranges: the rest must come in one stream.
  bool run() {
    const auto threads = static_cast<size_t>(std::min(kConnections, count_));
    run_threads(threads, board_.cancel, [this] { work(); });
    return !refused_;
  }

 private:
  struct Refused {};

  void work() {
    std::vector<char> bytes;
    while (const auto index = take()) {
      try {
        fetch_range(*index, bytes);
        write(*index, bytes);
      } catch (const Refused&) {
        refused_ = true;
      } catch (...) {
        failed_ = true;
        wake_.notify_all();
        throw;
      }
      wake_.notify_all();
    }
  }

  bool stopped() const { return refused_ || failed_ || board_.cancel; }

  /// The next range, when it is not too far ahead of what is written.
  std::optional<int64_t> take() {
    std::unique_lock lock(mutex_);
    // The first one learns where the file lies; the others go there at once.
    wait(lock,
         [this] { return next_ == 0 || next_ >= count_ || (etag_ && next_ - written_ < kAhead); });
    if (stopped() || next_ >= count_) return {};
    return next_++;
  }

  template <class Condition>
  void wait(std::unique_lock<std::mutex>& lock, const Condition& condition) {
    // In slices, since the caller cancels without a notification.
    while (!stopped() && !condition()) wake_.wait_for(lock, std::chrono::milliseconds(100));
  }

  void write(int64_t index, const std::vector<char>& bytes) {
    std::unique_lock lock(mutex_);
    wait(lock, [&] { return written_ == index; });
    if (stopped()) return;
    partial_.append(bytes);
    state_.done = partial_.size();
    ++written_;
  }

  void fetch_range(int64_t index, std::vector<char>& bytes) {
    const int64_t begin = begin_ + index * kRange, end = std::min(begin + kRange, task_.size);
    bytes.clear();
    bytes.reserve(static_cast<size_t>(end - begin));
    size_t before = 0;
    client_.retry([&] { fetch_part(begin, end, bytes); },
                  [&] { return bytes.size() > std::exchange(before, bytes.size()); });
  }

  void fetch_part(int64_t begin, int64_t end, std::vector<char>& bytes) {
    const int64_t at = begin + static_cast<int64_t>(bytes.size());
    const std::optional<Url> direct = direct_url();
    const auto on_head = [&](const Answer& answer) {
      if (!direct) check_identity(task_, answer);
      if (!check_range(task_, answer.reply, at)) throw Refused();
      learn(answer);
    };
    const auto on_body = [&](std::span<const char> piece) {
      if (static_cast<int64_t>(bytes.size() + piece.size()) > end - begin) too_long(task_);
      bytes.insert(bytes.end(), piece.begin(), piece.end());
      board_.received += static_cast<int64_t>(piece.size());
    };
    try {
      client_.stream(direct ? *direct : task_.url, task_.subject,
                     {{"Range", str("bytes=", at, "-", end - 1)}}, on_head, on_body);
    } catch (const HubError&) {
      // What goes wrong there may go right where the hub sends to next.
      if (direct) forget(*direct);
      throw;
    }
    if (static_cast<int64_t>(bytes.size()) < end - begin) {
      fail_hub(Kind::network, label(task_), ": a range ended early");
    }
  }

  std::optional<Url> direct_url() {
    const std::lock_guard lock(mutex_);
    return direct_;
  }
  void forget(const Url& url) {
    const std::lock_guard lock(mutex_);
    if (direct_ && direct_->target == url.target) direct_.reset();
  }
  /// Remembers where redirects led, and that all ranges are of one content.
  void learn(const Answer& answer) {
    const std::lock_guard lock(mutex_);
    if (!same_origin(answer.url, task_.url)) direct_ = answer.url;
    const std::string etag(answer.reply.find("ETag").value_or(""));
    if (!etag_) {
      etag_ = etag;
      wake_.notify_all();
    }
    if (*etag_ != etag) {
      fail_hub(Kind::answer, label(task_), ": changed on the server while it was downloaded; ",
               "download it again");
    }
  }

  Client& client_;
  const FetchTask& task_;
  PartialFile& partial_;
  Board& board_;
  FileState& state_;
  const int64_t begin_, count_;

  std::mutex mutex_;
  std::condition_variable wake_;
  int64_t next_ = 0, written_ = 0;
  std::optional<Url> direct_;
  std::optional<std::string> etag_;
  std::atomic<bool> refused_{false}, failed_{false};
};

}  // namespace

void fetch(Client& client, const FetchTask& task, PartialFile& partial, Board& board,
           FileState& state) {
  // Without a size there is no telling whether what is there is a beginning or more than all.
  if (task.size < 0 ? partial.size() > 0 : partial.size() > task.size) partial.restart();
  state.done = partial.size();
  state.total = task.size;
  if (task.size - partial.size() >= kLarge &&
      RangeFetch(client, task, partial, board, state).run()) {
    return;
  }
  fetch_stream(client, task, partial, board, state);
}

}  // namespace tallow::hub
