// download() and download_file(): what is asked for, what is there, and the rest from the network.
#include <algorithm>
#include <chrono>
#include <set>

#include "hub/fetch.h"
#include "hub/names.h"
#include "hub/place.h"
#include "hub/select.h"

namespace tallow::hub {
namespace {

using Kind = HubError::Kind;

constexpr size_t kThreads = 8;
constexpr size_t kMostPages = 2000;

/// Whether the hub could not be asked, so that what the cache holds may do. What the hub says about
/// a revision or a file, and what is wrong here, is final.
bool may_fall_back(const HubError& error) {
  switch (error.kind()) {
    case Kind::no_revision:
    case Kind::no_entry:
    case Kind::cancelled:
    case Kind::usage:
    case Kind::disk: return false;
    default: return true;
  }
}

/// One call of download() or download_file().
class Job {
 public:
  Job(const Download& what, Board& board)
      : what_(what),
        repo_(what.repo),
        cache_(what.settings, what.repo),
        client_(what.settings, board),
        board_(board) {
    check_repo(repo_);
  }

  std::vector<Planned> plan() {
    find_commit();
    std::vector<Planned> files;
    for (const Entry& entry : select(find_listing())) {
      files.push_back({entry.path, entry.size, place_of(entry)->present()});
    }
    return files;
  }

  Downloaded snapshot() {
    find_commit();
    const Listing selected = select(find_listing());
    if (online()) note_ref();
    bring_all(selected);
    Downloaded result{
        in_folder() ? what_.local_dir : cache_.snapshot(commit_), commit_, {}, board_.received};
    for (const Entry& entry : selected) result.files.push_back(entry.path);
    return result;
  }

  std::string file(const std::string& name) {
    check_file_name(name, describe(repo_));
    if (is_commit(repo_.revision) && !what_.force) {
      commit_ = repo_.revision;
      const auto place = place_of({.path = name});
      if (place->present()) return place->path();
    }
    const std::optional<Entry> entry = ask_for(name);
    if (!entry) return cached_file(name);
    const auto place = place_of(*entry);
    note_ref();
    if (what_.force || !place->present()) bring(*entry, board_.add(name, entry->size));
    return place->path();
  }

 private:
  bool in_folder() const { return !what_.local_dir.empty(); }
  bool online() const { return !what_.settings.offline && !fallback_; }

  std::unique_ptr<Place> place_of(const Entry& entry) const {
    if (!in_folder()) return place_in_cache(cache_, commit_, entry.path, entry.etag());
    return place_in_folder(cache_, what_.local_dir, commit_, entry.path, entry.etag());
  }

  /// A cache that cannot be written is good enough to read from.
  void note_ref() const {
    quietly([&] { cache_.write_ref(repo_.revision, commit_); });
  }
  static void quietly(const auto& write) {
    try {
      write();
    } catch (const HubError& error) {
      if (error.kind() != Kind::disk) throw;
    }
  }

  /// Calls `ask`, which makes requests; without retries where the cache could do instead. Keeps the
  /// error of a hub that cannot be asked.
  template <class Ask>
  bool try_to_ask(const Ask& ask, bool has_substitute) {
    if (what_.settings.offline) return false;
    try {
      if (has_substitute) {
        ask();
      } else {
        client_.retry(ask);
      }
      return true;
    } catch (const HubError& error) {
      if (!may_fall_back(error)) throw;
      fallback_.emplace(error);
      return false;
    }
  }

  /// Throws why something that is not in the cache cannot be had.
  [[noreturn]] void unreachable(const std::string& missing) const {
    if (what_.settings.offline) {
      fail_hub(Kind::offline, describe(repo_), ": ", missing, " not in the cache (",
               what_.settings.cache, "), and HF_HUB_OFFLINE forbids to ask the hub; unset it");
    }
    throw *fallback_;
  }

  void find_commit() {
    const std::optional<std::string> known = cache_.resolve(repo_.revision);
    if (is_commit(repo_.revision)) {
      commit_ = repo_.revision;
      return;
    }
    const bool substitute = known && (in_folder() || is_directory(cache_.snapshot(*known)));
    const auto ask = [&] {
      Answer answer;
      const Url url = client_.api_url(repo_, "revision/" + percent_encoded(repo_.revision));
      commit_ = parse_commit(client_.get(url, {repo_}, answer), url.text());
    };
    if (try_to_ask(ask, substitute)) return;
    if (!substitute) unreachable("it is");
    commit_ = *known;
  }

  Listing find_listing() {
    if (const auto text = read_tree()) return *text;
    Listing listing;
    const bool substitute = is_directory(cache_.snapshot(commit_));
    if (!fallback_ && try_to_ask([&] { listing = ask_for_listing(); }, substitute)) {
      quietly([&] { write_whole(tree_path(), tree_cache_text(listing)); });
      return listing;
    }
    if (!substitute) unreachable("it is");
    for (std::string& name : cache_.snapshot_files(commit_)) {
      const int64_t size = file_size(cache_.pointer(commit_, name)).value_or(-1);
      listing.push_back({.path = std::move(name), .size = size});
    }
    guessed_ = true;
    return listing;
  }

  std::string tree_path() const {
    if (!in_folder()) return cache_.tree(commit_);
    return str(what_.local_dir, "/.cache/huggingface/trees/", commit_, ".json");
  }

  std::optional<Listing> read_tree() const {
    try {
      const std::string path = tree_path();
      if (const auto text = read_small(path)) return parse_tree_cache(*text, path);
    } catch (const Error&) {
      // Unreadable, or of another version: asked for again.
    }
    return {};
  }

  Listing ask_for_listing() {
    Listing listing;
    std::optional<Url> page =
        client_.api_url(repo_, str("tree/", commit_, "?recursive=true&expand=false"));
    for (std::set<std::string> seen; page;) {
      if (!seen.insert(page->target).second || seen.size() > kMostPages) {
        fail_hub(Kind::answer, page->text(), ": the list of files has no end");
      }
      Answer answer;
      const std::string text = client_.get(*page, {repo_}, answer);
      parse_tree_page(text, describe(repo_) + ": list of files", listing);
      page = next_page(answer.reply.find("Link").value_or(""), answer.url);
    }
    finish_listing(listing, describe(repo_) + ": list of files");
    return listing;
  }

  Listing select(const Listing& listing) const {
    try {
      if (!what_.gguf.empty()) return select_named_gguf(listing, what_.gguf, repo_);
      const bool needed =
          what_.include.empty() && !what_.everything && repo_.type == RepoType::model;
      return select_files(needed ? select_model(listing, what_.weights) : listing, what_.include,
                          what_.exclude, repo_);
    } catch (const HubError&) {
      if (!guessed_) throw;
      unreachable("what is asked for is");
    }
  }

  struct Wanted {
    Entry entry;
    FileState* state;
  };

  void bring_all(const Listing& selected) {
    std::vector<Wanted> small, large;
    for (const Entry& entry : selected) {
      if (!what_.force && place_of(entry)->present()) continue;
      if (!online()) unreachable(str("\"", entry.path, "\" and maybe others are"));
      std::vector<Wanted>& list = entry.size >= kLarge ? large : small;
      list.push_back({entry, &board_.add(entry.path, entry.size)});
    }
    std::atomic<size_t> next{0};
    run_threads(std::min(small.size(), kThreads), board_.cancel, [&] {
      for (size_t i; (i = next++) < small.size() && !board_.cancel;) {
        bring(small[i].entry, *small[i].state);
      }
    });
    // One after the other, each on all connections: what breaks off is one file, not all.
    for (const Wanted& wanted : large) bring(wanted.entry, *wanted.state);
  }

  /// Downloads one file, unless it turns up meanwhile.
  void bring(const Entry& entry, FileState& state) {
    client_.check_cancelled();
    const auto place = place_of(entry);
    make_folders(parent_of(place->whole_path()));
    make_folders(parent_of(place->partial_path()));
    if (!in_folder()) cache_.tag();
    {
      const FileLock lock(place->lock_path(), [this] { client_.sleep(0.05); });
      const bool there = !what_.force && (place->present() || place->adopt());
      if (!there) {
        bring_locked(entry, *place, state, lock.held());
        place->finish();
      }
    }
    state.done = std::max(entry.size, state.done.load());
    state.finished = true;
  }

  void bring_locked(const Entry& entry, const Place& place, FileState& state, bool exclusive) {
    const FetchTask task{{repo_, entry.path},
                         client_.file_url(repo_, commit_, entry.path),
                         entry.etag(),
                         entry.size};
    // Where locks do not work, others may write at the same time.
    const std::string path =
        exclusive ? place.partial_path() : unique_partial(place.partial_path());
    PartialFile partial(path, entry.etag());
    if (what_.force) partial.restart();
    check_space(parent_of(path), entry.size - partial.size());
    for (bool again = false;; again = true) {
      fetch(client_, task, partial, board_, state);
      const std::string fault = partial.fault(entry.size);
      if (fault.empty()) break;
      partial.restart();
      if (again) {
        partial.remove();
        fail_hub(Kind::answer, describe(repo_), ": ", entry.path, ": ", fault,
                 ", twice; it is damaged on the server or on the way");
      }
    }
    partial.commit(place.whole_path());
  }

  static std::string unique_partial(std::string path) {
    const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
    return path.insert(path.rfind('.'), str(".", static_cast<int64_t>(now)));
  }

  /// What the hub says about one file; nothing when it cannot be asked.
  std::optional<Entry> ask_for(const std::string& name) {
    Entry entry;
    entry.path = name;
    entry.size = -1;
    const auto known = cache_.resolve(repo_.revision);
    const bool substitute = known && is_file(cache_.pointer(*known, name));
    const auto ask = [&] {
      const Url url = client_.file_url(repo_, repo_.revision, name);
      const Answer answer = client_.head(url, {repo_, name});
      if (answer.commit.empty() || answer.etag.empty()) {
        fail_hub(Kind::answer, url.text(), ": the answer names no commit or no etag; is ",
                 what_.settings.endpoint, " a hub?");
      }
      commit_ = answer.commit;
      (is_lower_hex(answer.etag, 64) ? entry.sha256 : entry.blob_id) = answer.etag;
      const bool direct = answer.reply.status / 100 == 2;
      const auto length = direct ? answer.reply.number("Content-Length") : std::nullopt;
      entry.size = answer.file_size.value_or(length.value_or(-1));
    };
    try {
      if (try_to_ask(ask, substitute)) return entry;
    } catch (const Missing& missing) {
      if (missing.commit.empty() || in_folder()) throw;
      commit_ = missing.commit;
      quietly([&] { cache_.note_missing(commit_, name); });
      note_ref();
      throw;
    }
    return {};
  }

  std::string cached_file(const std::string& name) {
    const auto known = cache_.resolve(repo_.revision);
    if (known) {
      commit_ = *known;
      const std::string path =
          in_folder() ? what_.local_dir + "/" + name : cache_.pointer(commit_, name);
      if (is_file(path) && !what_.force) return path;
      if (cache_.known_missing(commit_, name)) {
        fail_hub(Kind::no_entry, describe(repo_), ": has no file \"", name, "\"");
      }
    }
    unreachable(str("\"", name, "\" is"));
  }

  const Download& what_;
  const Repo& repo_;
  RepoCache cache_;
  Client client_;
  Board& board_;
  std::string commit_;
  std::optional<HubError> fallback_;  // why the hub could not be asked
  bool guessed_ = false;              // the listing is what the cache happens to hold
};

}  // namespace

Downloaded download(const Download& what, const OnProgress& on_progress) {
  Downloaded result;
  Board board;
  run_reporting(board, on_progress, [&] { result = Job(what, board).snapshot(); });
  return result;
}

std::vector<Planned> plan(const Download& what, const OnProgress& on_progress) {
  std::vector<Planned> files;
  Board board;
  run_reporting(board, on_progress, [&] { files = Job(what, board).plan(); });
  return files;
}

std::string download_file(const Download& what, const std::string& file,
                          const OnProgress& on_progress) {
  std::string path;
  Board board;
  run_reporting(board, on_progress, [&] { path = Job(what, board).file(file); });
  return path;
}

}  // namespace tallow::hub
