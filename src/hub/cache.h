// The cache's layout on the disk, which is that of Python's `huggingface_hub`:
//   models--org--name/blobs/ETAG                    contents
//                     snapshots/COMMIT/path/file    relative links to them
//                     refs/main                     the commit
//                     .no_exist/COMMIT/path/file    what the hub has not
//                     trees/COMMIT.json             the listing
//   .locks/models--org--name/ETAG.lock              held with flock(2) while a blob is written
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "tallow/hub.h"

namespace tallow::hub {

/// Throws HubError with what the system says about `path`, from errno.
[[noreturn]] void fail_disk(const std::string& path, const char* what);
/// Makes a folder and those above it.
void make_folders(const std::string& path);
/// "a/b" of "a/b/c".
std::string parent_of(const std::string& path);
/// Whether something that can be read as a file is there, links followed.
bool is_file(const std::string& path);
bool is_directory(const std::string& path);
/// The size of a file, links followed, or nothing.
std::optional<int64_t> file_size(const std::string& path);
/// A small file's text, or nothing when there is none.
std::optional<std::string> read_small(const std::string& path);
/// Writes beside and renames, so that no reader sees half.
void write_whole(const std::string& path, const std::string& text);

/// A repository's folder in the cache.
class RepoCache {
 public:
  RepoCache(const Settings& settings, const Repo& repo);

  const std::string& root() const { return root_; }
  std::string blob(const std::string& etag) const { return root_ + "/blobs/" + etag; }
  std::string snapshot(const std::string& commit) const { return root_ + "/snapshots/" + commit; }
  std::string pointer(const std::string& commit, const std::string& file) const;
  std::string lock(const std::string& etag) const;
  std::string tree(const std::string& commit) const { return root_ + "/trees/" + commit + ".json"; }

  /// The commit that a revision led to when the hub was last asked; a commit leads to itself.
  std::optional<std::string> resolve(const std::string& revision) const;
  void write_ref(const std::string& revision, const std::string& commit) const;
  void note_missing(const std::string& commit, const std::string& file) const;
  bool known_missing(const std::string& commit, const std::string& file) const;
  /// Marks the cache for backup programs, which leave it out.
  void tag() const;
  /// Makes the snapshot's file lead to the blob: a link, or where there are none, the file itself.
  void link(const std::string& commit, const std::string& file, const std::string& etag,
            bool blob_is_new) const;
  /// Names of the files in a snapshot, sorted.
  std::vector<std::string> snapshot_files(const std::string& commit) const;

 private:
  const Settings& settings_;
  std::string root_, locks_;
};

/// flock(2) on a file that is made for it, as Python's filelock takes it.
class FileLock {
 public:
  /// Waits until it is free, calling `waiting` now and then, which may throw.
  FileLock(const std::string& path, const std::function<void()>& waiting);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  /// False where the file system knows no locks.
  bool held() const { return held_; }

 private:
  int fd_ = -1;
  bool held_ = false;
};

}  // namespace tallow::hub
