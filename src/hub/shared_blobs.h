// The store in which Python's client keeps what came by Xet once for all repositories of a cache:
//   blobs/ab/abcd...        contents, to which a repository's blobs/ETAG is a link
//   blobs/ab/abcd....refs   those links, from the cache's folder
#pragma once

#include <optional>
#include <set>
#include <string>

namespace tallow::hub {

/// The content in the store that a repository's blob is a link to, if it is.
std::optional<std::string> shared_blob_of(const std::string& cache, const std::string& blob);

/// Frees the content if `gone` (paths of blobs) were its last users, and else takes them from its
/// list: how many bytes that frees. A content whose list cannot be trusted stays. With `dry_run`
/// nothing is changed.
int64_t release_shared_blob(const std::string& cache, const std::string& content,
                            const std::set<std::string>& gone, bool dry_run);

}  // namespace tallow::hub
