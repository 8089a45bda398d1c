// Names of repositories, revisions and files: what may be one, before it reaches a path or a URL.
#pragma once

#include <string>
#include <string_view>

#include "tallow/hub.h"

namespace tallow::hub {

template <class... T>
[[noreturn]] void fail_hub(HubError::Kind kind, const T&... parts) {
  throw HubError(kind, str(parts...));
}

bool is_repo_id(std::string_view id);
bool is_revision(std::string_view revision);
/// Forty hexadecimal digits.
bool is_commit(std::string_view text);
bool is_lower_hex(std::string_view text, size_t digits);

/// Throws HubError for what cannot be the name of one.
void check_repo(const Repo& repo);
/// A relative path without "..", control characters or a drive, of a length that file systems take.
/// `what` begins the message.
void check_file_name(std::string_view name, std::string_view what);
/// Whether a blob may be called that.
bool is_etag(std::string_view text);
/// An etag as a file's name: without weak mark and quotes. Throws HubError for what no blob may be
/// called.
std::string normalized_etag(std::string_view header);

/// Whether `name` matches a glob of *, ? and [...], as Python's fnmatch has it.
bool matches_glob(std::string_view name, std::string_view pattern);

/// "org/name at main", for messages.
std::string describe(const Repo& repo);
/// "models", "datasets" or "spaces": the word in folders and in the API.
std::string plural(RepoType type);

}  // namespace tallow::hub
