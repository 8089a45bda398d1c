// What the hub's API says about a repository, read as what a stranger sent.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hub/url.h"
#include "tallow/json.h"

namespace tallow::hub {

/// A file of a repository at one commit.
struct Entry {
  std::string path = {};      // checked: relative and without surprises
  int64_t size = 0;           // -1: not known
  std::string blob_id = {};   // git's name of the content, or of the pointer to it
  std::string sha256 = {};    // of the content, where it is in large file storage; or empty
  std::string xet_hash = {};  // or empty

  /// What the blob is called in the cache, and the server in its etag.
  const std::string& etag() const { return sha256.empty() ? blob_id : sha256; }
};

/// Sorted by path, each path once.
using Listing = std::vector<Entry>;

/// The commit in the answer of /api/models/org/name/revision/main. Throws HubError.
std::string parse_commit(std::string_view json, std::string_view what);
/// Adds a page of /api/models/org/name/tree/COMMIT to `listing`. Throws HubError.
void parse_tree_page(std::string_view json, std::string_view what, Listing& listing);
/// Sorts. Throws HubError when two entries want the same path.
void finish_listing(Listing& listing, std::string_view what);
/// The address of the next page, from a Link header, if it is on the server of `page`.
std::optional<Url> next_page(std::string_view link, const Url& page);

/// The form in which the Python client keeps listings, trees/COMMIT.json. Throws HubError.
Listing parse_tree_cache(std::string_view json, std::string_view what);
std::string tree_cache_text(const Listing& listing);

}  // namespace tallow::hub
