// Where a file goes when it has come: a blob of the cache with a link to it, or a folder of the
// user's with a note beside it. Both are laid out as Python's `huggingface_hub` does.
#pragma once

#include <memory>
#include <string>

#include "hub/cache.h"
#include "hub/listing.h"

namespace tallow::hub {

class Place {
 public:
  virtual ~Place() = default;
  /// What a reader opens.
  virtual std::string path() const = 0;
  /// Whether it is there, by what is noted on the disk.
  virtual bool present() const = 0;
  /// Makes it be there from what the disk has under another name, if it can.
  virtual bool adopt() const = 0;
  virtual std::string lock_path() const = 0;
  /// Where it grows, and where it goes when it is whole.
  virtual std::string partial_path() const = 0;
  virtual std::string whole_path() const = 0;
  /// After the whole was moved to whole_path().
  virtual void finish() const = 0;
};

/// `etag` names the blob.
std::unique_ptr<Place> place_in_cache(const RepoCache& cache, const std::string& commit,
                                      const std::string& file, const std::string& etag);
std::unique_ptr<Place> place_in_folder(const RepoCache& cache, const std::string& folder,
                                       const std::string& commit, const std::string& file,
                                       const std::string& etag);

}  // namespace tallow::hub
