// The two places, and what is noted about files of a local folder: commit, etag, time.
#include "hub/place.h"

#include <cerrno>
#include <charconv>
#include <filesystem>

#include <sys/stat.h>
#include <sys/time.h>

#include "hub/digest.h"
#include "hub/names.h"
#include "hub/partial_file.h"

namespace tallow::hub {
namespace {

namespace fs = std::filesystem;

class CachePlace final : public Place {
 public:
  CachePlace(const RepoCache& cache, std::string commit, std::string file, std::string etag)
      : cache_(cache), commit_(std::move(commit)), file_(std::move(file)), etag_(std::move(etag)) {}

  std::string path() const override { return cache_.pointer(commit_, file_); }
  bool present() const override { return is_file(path()); }
  bool adopt() const override {
    if (!is_file(cache_.blob(etag_))) return false;
    cache_.link(commit_, file_, etag_, /*blob_is_new=*/false);
    return true;
  }
  std::string lock_path() const override { return cache_.lock(etag_); }
  std::string partial_path() const override { return cache_.blob(etag_) + ".incomplete"; }
  std::string whole_path() const override { return cache_.blob(etag_); }
  void finish() const override { cache_.link(commit_, file_, etag_, /*blob_is_new=*/true); }

 private:
  const RepoCache& cache_;
  std::string commit_, file_, etag_;
};

struct Note {
  std::string commit, etag;
  double time = 0;
};

class FolderPlace final : public Place {
 public:
  FolderPlace(const RepoCache& cache, const std::string& folder, std::string commit,
              std::string file, std::string etag)
      : cache_(cache),
        file_(folder + "/" + file),
        notes_(folder + "/.cache/huggingface"),
        stem_(notes_ + "/download/" + file),
        commit_(std::move(commit)),
        etag_(std::move(etag)) {}

  std::string path() const override { return file_; }
  bool present() const override {
    const auto note = read_note();
    return note && note->commit == commit_ && (etag_.empty() || note->etag == etag_);
  }
  bool adopt() const override {
    const auto note = read_note();
    const bool same = (note && note->etag == etag_) || (!note && has_content());
    if (!same && !copy_from_cache()) return false;
    finish();
    return true;
  }
  std::string lock_path() const override { return stem_ + ".lock"; }
  std::string partial_path() const override {
    const std::string name = stem_.substr(stem_.rfind('/') + 1) + ".metadata";
    return str(parent_of(stem_), "/", base64(sha1(name), /*for_urls=*/true), ".", etag_,
               ".incomplete");
  }
  std::string whole_path() const override { return file_; }
  void finish() const override {
    timeval now{};
    ::gettimeofday(&now, nullptr);
    const double seconds =
        static_cast<double>(now.tv_sec) + 1e-6 * static_cast<double>(now.tv_usec);
    write_whole(stem_ + ".metadata", str(commit_, "\n", etag_, "\n", seconds, "\n"));
    if (!is_file(notes_ + "/.gitignore")) write_whole(notes_ + "/.gitignore", "*");
  }

 private:
  /// What was noted, unless the file has been changed since.
  std::optional<Note> read_note() const {
    const auto text = read_small(stem_ + ".metadata");
    struct stat status;
    if (!text || ::stat(file_.c_str(), &status) != 0) return {};
    const size_t first = text->find('\n'), second = text->find('\n', first + 1);
    if (second == text->npos) return {};
    Note note{text->substr(0, first), text->substr(first + 1, second - first - 1)};
    std::from_chars(text->data() + second + 1, text->data() + text->size(), note.time);
    if (static_cast<double>(status.st_mtim.tv_sec) - 1 > note.time) return {};
    return note;
  }

  /// Whether the file, of which nothing is noted, is what the etag names.
  bool has_content() const {
    const bool hashed = is_lower_hex(etag_, 64) || is_lower_hex(etag_, 40);
    if (!hashed || !is_file(file_) || fs::is_symlink(file_)) return false;
    return PartialFile(file_, etag_).fault(-1).empty();
  }

  bool copy_from_cache() const {
    if (!is_file(cache_.blob(etag_))) return false;
    make_folders(parent_of(file_));
    std::error_code error;
    fs::copy_file(cache_.blob(etag_), partial_path(), fs::copy_options::overwrite_existing, error);
    if (!error) fs::rename(partial_path(), file_, error);
    if (!error) return true;
    errno = error.value();
    fail_disk(file_, "cannot copy from the cache");
  }

  const RepoCache& cache_;
  std::string file_, notes_, stem_, commit_, etag_;
};

}  // namespace

std::unique_ptr<Place> place_in_cache(const RepoCache& cache, const std::string& commit,
                                      const std::string& file, const std::string& etag) {
  return std::make_unique<CachePlace>(cache, commit, file, etag);
}

std::unique_ptr<Place> place_in_folder(const RepoCache& cache, const std::string& folder,
                                       const std::string& commit, const std::string& file,
                                       const std::string& etag) {
  return std::make_unique<FolderPlace>(cache, folder, commit, file, etag);
}

}  // namespace tallow::hub
