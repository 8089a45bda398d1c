// What the cache holds, and deleting from it. Links are never followed to delete.
#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include <sys/stat.h>

#include "hub/cache.h"
#include "hub/names.h"
#include "hub/shared_blobs.h"

namespace tallow::hub {
namespace {

namespace fs = std::filesystem;
using Kind = HubError::Kind;

/// The names in a folder, sorted; none when it is no folder.
std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  if (!fs::is_directory(fs::symlink_status(folder, error))) return names;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    names.push_back(at->path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// The repository whose folder is called that, if any is.
std::optional<Repo> repo_of_folder(const std::string& name) {
  for (const RepoType type : {RepoType::model, RepoType::dataset, RepoType::space}) {
    const std::string prefix = plural(type) + "--";
    if (!name.starts_with(prefix)) continue;
    std::string id = name.substr(prefix.size());
    if (const size_t dashes = id.find("--"); dashes != id.npos) id.replace(dashes, 2, "/");
    if (is_repo_id(id)) return Repo{id, "main", type};
  }
  return {};
}

/// A file's identity, size and times, links followed.
std::optional<struct stat> status_of(const std::string& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
  return status;
}

using Identity = std::pair<dev_t, ino_t>;
using Sizes = std::map<Identity, int64_t>;

int64_t sum(const Sizes& sizes) {
  int64_t bytes = 0;
  for (const auto& [identity, size] : sizes) bytes += size;
  return bytes;
}

std::map<std::string, std::vector<std::string>> refs_by_commit(const fs::path& root) {
  std::map<std::string, std::vector<std::string>> refs;
  std::error_code error;
  const fs::path folder = root / "refs";
  fs::recursive_directory_iterator at(folder, error), end;
  for (; !error && at != end; at.increment(error)) {
    const auto text = read_small(at->path());
    if (!text) continue;
    const std::string commit = text->substr(0, text->find_last_not_of("\n") + 1);
    refs[commit].push_back(at->path().lexically_relative(folder));
  }
  return refs;
}

CachedRepo read_repo(const std::string& cache, const Repo& repo) {
  const Settings settings{.endpoint = {}, .cache = cache, .token = {}};
  const RepoCache layout(settings, repo);
  CachedRepo result{.type = repo.type, .id = repo.id, .path = layout.root(), .revisions = {}};
  auto refs = refs_by_commit(layout.root());
  Sizes all;
  for (const std::string& commit : names_in(layout.root() + "/snapshots")) {
    CachedRevision revision{commit, refs[commit], layout.snapshot_files(commit)};
    Sizes sizes;
    for (const std::string& file : revision.files) {
      const auto status = status_of(layout.pointer(commit, file));
      if (!status) continue;
      sizes[{status->st_dev, status->st_ino}] = status->st_size;
      result.last_used = std::max<int64_t>(result.last_used, status->st_atim.tv_sec);
    }
    revision.bytes = sum(sizes);
    all.merge(sizes);
    result.revisions.push_back(std::move(revision));
  }
  result.files = static_cast<int64_t>(all.size());
  // Blobs that no snapshot leads to take room as well: what broke off, for one.
  for (const std::string& blob : names_in(layout.root() + "/blobs")) {
    const auto status = status_of(layout.blob(blob));
    if (status) all[{status->st_dev, status->st_ino}] = status->st_size;
  }
  result.bytes = sum(all);
  return result;
}

/// The revision that a user means by a commit, its beginning, or a ref.
const CachedRevision& find_revision(const CachedRepo& repo, const std::string& revision) {
  const CachedRevision* found = nullptr;
  for (const CachedRevision& r : repo.revisions) {
    if (r.commit == revision || std::count(r.refs.begin(), r.refs.end(), revision)) return r;
    if (revision.size() < 4 || !r.commit.starts_with(revision)) continue;
    if (found) fail_hub(Kind::usage, repo.id, ": ", revision, " begins several commits; give more");
    found = &r;
  }
  if (found) return *found;
  fail_hub(Kind::no_revision, repo.id, ": the cache has no revision \"", revision,
           "\"; `tallow cache` lists those that it has");
}

/// The blobs that a snapshot's links lead to.
std::set<std::string> blobs_of(const RepoCache& layout, const CachedRevision& revision) {
  std::set<std::string> blobs;
  for (const std::string& file : revision.files) {
    std::error_code error;
    const fs::path target = fs::read_symlink(layout.pointer(revision.commit, file), error);
    if (!error && target.parent_path().filename() == "blobs")
      blobs.insert(layout.blob(target.filename()));
  }
  return blobs;
}

/// Deletes paths, all below one folder, or only counts them.
class Deleter {
 public:
  Deleter(std::string below, bool dry_run) : below_(std::move(below)), dry_run_(dry_run) {}

  void remove(const std::string& path) {
    std::error_code error;
    const fs::file_status status = fs::symlink_status(path, error);
    if (!fs::exists(status)) return;
    if (!path.starts_with(below_ + "/")) fail_hub(Kind::usage, path, ": is not in ", below_);
    count(path, status);
    result_.paths.push_back(path);
    if (dry_run_) return;
    fs::remove_all(path, error);
    if (error) fail_hub(Kind::disk, path, ": cannot delete: ", error.message());
  }

  /// Deletes blobs of a repository, and what they shared with others once nobody else does.
  void remove_blobs(const std::set<std::string>& blobs) {
    std::set<std::string> shared;
    for (const std::string& blob : blobs) {
      if (const auto content = shared_blob_of(below_, blob)) shared.insert(*content);
    }
    for (const std::string& blob : blobs) remove(blob);
    for (const std::string& content : shared) {
      result_.bytes += release_shared_blob(below_, content, blobs, dry_run_);
    }
  }

  Deleted result() && { return std::move(result_); }

 private:
  void count(const std::string& path, fs::file_status status) {
    std::error_code error;
    if (fs::is_regular_file(status)) result_.bytes += static_cast<int64_t>(fs::file_size(path));
    if (!fs::is_directory(status)) return;
    fs::recursive_directory_iterator at(path, error), end;
    for (; !error && at != end; at.increment(error)) {
      const bool regular = fs::is_regular_file(at->symlink_status(error));
      if (regular) result_.bytes += static_cast<int64_t>(at->file_size(error));
    }
  }

  std::string below_;
  bool dry_run_;
  Deleted result_;
};

}  // namespace

std::vector<CachedRepo> list_cache(const std::string& cache) {
  std::vector<CachedRepo> repos;
  for (const std::string& name : names_in(cache)) {
    const auto repo = repo_of_folder(name);
    std::error_code error;
    const bool folder = fs::is_directory(fs::symlink_status(fs::path(cache) / name, error));
    if (repo && folder) repos.push_back(read_repo(cache, *repo));
  }
  return repos;
}

Deleted delete_cached(const std::string& cache, RepoType type, const std::string& id,
                      const std::string& revision, bool dry_run) {
  const Repo repo{id, "main", type};
  check_repo(repo);
  const Settings settings{.endpoint = {}, .cache = cache, .token = {}};
  const RepoCache layout(settings, repo);
  std::error_code error;
  if (!fs::is_directory(fs::symlink_status(layout.root(), error))) {
    fail_hub(Kind::no_repo, describe(repo), ": is not in the cache (", cache,
             "); `tallow cache` lists what is");
  }
  Deleter deleter(cache, dry_run);
  const std::string locks = parent_of(layout.lock("x"));
  if (revision.empty()) {
    std::set<std::string> blobs;
    for (const std::string& name : names_in(layout.root() + "/blobs")) {
      if (shared_blob_of(cache, layout.blob(name))) blobs.insert(layout.blob(name));
    }
    deleter.remove_blobs(blobs);
    deleter.remove(layout.root());
    deleter.remove(locks);
    return std::move(deleter).result();
  }
  const CachedRepo held = read_repo(cache, repo);
  const CachedRevision& gone = find_revision(held, revision);
  std::set<std::string> blobs = blobs_of(layout, gone);
  for (const CachedRevision& other : held.revisions) {
    if (&other == &gone) continue;
    for (const std::string& blob : blobs_of(layout, other)) blobs.erase(blob);
  }
  // Links first, then what they led to: a reader meets a missing file, never half a snapshot.
  for (const std::string& ref : gone.refs) deleter.remove(layout.root() + "/refs/" + ref);
  deleter.remove(layout.snapshot(gone.commit));
  deleter.remove(layout.tree(gone.commit));
  deleter.remove(layout.root() + "/.no_exist/" + gone.commit);
  deleter.remove_blobs(blobs);
  return std::move(deleter).result();
}

}  // namespace tallow::hub
