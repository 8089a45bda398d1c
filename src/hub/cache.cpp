// Folders, links, refs and locks of the cache.
#include "hub/cache.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/read_file.h"
#include "hub/names.h"

namespace tallow::hub {
namespace {

namespace fs = std::filesystem;
using Kind = HubError::Kind;

constexpr const char* kTag =
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This file is a cache directory tag.\n"
    "# For information about cache directory tags, see:\n"
    "#\thttps://bford.info/cachedir/\n";

std::string folder_name(const Repo& repo) {
  std::string name = plural(repo.type) + "--" + repo.id;
  if (const size_t slash = name.find('/'); slash != name.npos) name.replace(slash, 1, "--");
  return name;
}

/// A name beside `path` that nobody else takes.
std::string beside(const std::string& path) {
  static std::atomic<unsigned> count{0};
  return str(path, ".", int64_t{::getpid()}, "-", ++count, ".tmp");
}

bool links_are_refused(int error) {
  return error == EPERM || error == EOPNOTSUPP || error == ENOSYS || error == EACCES;
}

}  // namespace

void fail_disk(const std::string& path, const char* what) {
  const int error = errno;
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  const bool refused = error == EACCES || error == EPERM || error == EROFS;
  fail_hub(Kind::disk, path, ": ", what, ": ", std::strerror(error),
           full      ? "; make room, or name another disk in HF_HUB_CACHE; the download goes on "
                       "from here next time"
           : refused ? "; name a folder that you may write to in HF_HUB_CACHE"
                     : "");
}

void make_folders(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) {
    errno = error.value();
    fail_disk(path, "cannot make the folder");
  }
}

std::string parent_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

bool is_file(const std::string& path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

bool is_directory(const std::string& path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

std::optional<int64_t> file_size(const std::string& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
  return status.st_size;
}

std::optional<std::string> read_small(const std::string& path) {
  if (!is_file(path)) return {};
  return read_file(path, size_t{256} << 20);
}

void write_whole(const std::string& path, const std::string& text) {
  make_folders(parent_of(path));
  const std::string temporary = beside(path);
  std::FILE* file = std::fopen(temporary.c_str(), "wbe");
  if (!file) fail_disk(temporary, "cannot create");
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  const bool closed = std::fclose(file) == 0;
  if (!written || !closed || std::rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary.c_str());
    errno = error;
    fail_disk(path, "cannot write");
  }
}

RepoCache::RepoCache(const Settings& settings, const Repo& repo)
    : settings_(settings),
      root_(settings.cache + "/" + folder_name(repo)),
      locks_(settings.cache + "/.locks/" + folder_name(repo)) {}

std::string RepoCache::pointer(const std::string& commit, const std::string& file) const {
  return snapshot(commit) + "/" + file;
}

std::string RepoCache::lock(const std::string& etag) const { return locks_ + "/" + etag + ".lock"; }

std::optional<std::string> RepoCache::resolve(const std::string& revision) const {
  if (is_commit(revision)) return revision;
  auto commit = read_small(root_ + "/refs/" + revision);
  while (commit && commit->ends_with('\n')) commit->pop_back();
  if (commit && !is_commit(*commit)) return {};
  return commit;
}

void RepoCache::write_ref(const std::string& revision, const std::string& commit) const {
  if (revision == commit || resolve(revision) == commit) return;
  write_whole(root_ + "/refs/" + revision, commit);
}

void RepoCache::note_missing(const std::string& commit, const std::string& file) const {
  const std::string path = str(root_, "/.no_exist/", commit, "/", file);
  if (!is_file(path)) write_whole(path, "");
}

bool RepoCache::known_missing(const std::string& commit, const std::string& file) const {
  return is_file(str(root_, "/.no_exist/", commit, "/", file));
}

void RepoCache::tag() const {
  const std::string path = settings_.cache + "/CACHEDIR.TAG";
  if (!file_exists(path)) write_whole(path, kTag);
}

void RepoCache::link(const std::string& commit, const std::string& file, const std::string& etag,
                     bool blob_is_new) const {
  const std::string path = pointer(commit, file);
  make_folders(parent_of(path));
  std::string target = "../../blobs/" + etag;
  for (const char c : file) {
    if (c == '/') target.insert(0, "../");
  }
  const std::string temporary = beside(path);
  if (settings_.symlinks && ::symlink(target.c_str(), temporary.c_str()) == 0) {
    if (std::rename(temporary.c_str(), path.c_str()) == 0) return;
    const int error = errno;
    ::unlink(temporary.c_str());
    errno = error;
    fail_disk(path, "cannot put in place");
  }
  if (settings_.symlinks && !links_are_refused(errno)) fail_disk(path, "cannot link");
  std::error_code error;
  if (blob_is_new) {
    fs::rename(blob(etag), path, error);
  } else {
    fs::copy_file(blob(etag), temporary, fs::copy_options::overwrite_existing, error);
    if (!error) fs::rename(temporary, path, error);
  }
  if (error) {
    errno = error.value();
    fail_disk(path, "cannot put in place");
  }
}

std::vector<std::string> RepoCache::snapshot_files(const std::string& commit) const {
  std::vector<std::string> names;
  const fs::path folder = snapshot(commit);
  std::error_code error;
  fs::recursive_directory_iterator at(folder, error), end;
  for (; !error && at != end; at.increment(error)) {
    if (at->is_regular_file(error)) names.push_back(at->path().lexically_relative(folder));
  }
  std::sort(names.begin(), names.end());
  return names;
}

FileLock::FileLock(const std::string& path, const std::function<void()>& waiting) {
  make_folders(parent_of(path));
  for (;;) {
    fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0664);
    if (fd_ < 0) fail_disk(path, "cannot open the lock");
    int result;
    while ((result = ::flock(fd_, LOCK_EX | LOCK_NB)) != 0 &&
           (errno == EWOULDBLOCK || errno == EINTR || errno == EACCES)) {
      try {
        waiting();
      } catch (...) {
        ::close(fd_);
        throw;
      }
    }
    held_ = result == 0;
    // Somebody may have deleted the file meanwhile: then others lock another one.
    struct stat mine, there;
    if (!held_ || (::fstat(fd_, &mine) == 0 && ::stat(path.c_str(), &there) == 0 &&
                   mine.st_ino == there.st_ino && mine.st_dev == there.st_dev)) {
      return;
    }
    ::close(fd_);
  }
}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace tallow::hub
