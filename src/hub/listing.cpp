// JSON of the hub, checked field by field.
#include "hub/listing.h"

#include <algorithm>

#include "hub/names.h"

namespace tallow::hub {
namespace {

using Kind = HubError::Kind;

constexpr size_t kMostFiles = 1'000'000;

[[noreturn]] void malformed(std::string_view what, const char* why) {
  fail_hub(Kind::answer, what, ": ", why, "; is HF_ENDPOINT a hub?");
}

Json parse(std::string_view text, std::string_view what) {
  try {
    return Json::parse(text, what);
  } catch (const HubError&) {
    throw;
  } catch (const Error& error) {
    fail_hub(Kind::answer, error.what());
  }
}

std::string text_of(const Json& object, const char* key, std::string_view what) {
  const Json* value = object.find(key);
  if (!value || !value->is_string()) malformed(what, "an entry lacks a name or a hash");
  return value->string();
}

int64_t size_of(const Json& object, std::string_view what) {
  const Json* value = object.find("size");
  if (!value || !value->is_integer() || value->integer() < 0) {
    malformed(what, "an entry has no size");
  }
  return value->integer();
}

void check(const Entry& entry, std::string_view what) {
  check_file_name(entry.path, what);
  if (!is_etag(entry.blob_id)) malformed(what, "an entry has no hash");
  if (!entry.sha256.empty() && !is_lower_hex(entry.sha256, 64)) {
    malformed(what, "an entry's sha256 is none");
  }
}

void add(Listing& listing, Entry entry, std::string_view what) {
  check(entry, what);
  if (listing.size() >= kMostFiles) malformed(what, "lists more than a million files");
  listing.push_back(std::move(entry));
}

std::string optional_text(const Json& object, const char* key) {
  const Json* value = object.find(key);
  return value && value->is_string() ? value->string() : "";
}

}  // namespace

std::string parse_commit(std::string_view json, std::string_view what) {
  const Json answer = parse(json, what);
  const Json* sha = answer.find("sha");
  if (!sha || !sha->is_string() || !is_commit(sha->string())) {
    malformed(what, "the answer names no commit");
  }
  return sha->string();
}

void parse_tree_page(std::string_view json, std::string_view what, Listing& listing) {
  const Json page = parse(json, what);
  if (!page.is_array()) malformed(what, "the answer is no list of files");
  for (const Json& item : page.items()) {
    if (!item.is_object()) malformed(what, "the answer is no list of files");
    if (optional_text(item, "type") != "file") continue;
    Entry entry{text_of(item, "path", what),
                size_of(item, what),
                text_of(item, "oid", what),
                {},
                optional_text(item, "xetHash")};
    if (const Json* lfs = item.find("lfs"); lfs && lfs->is_object()) {
      entry.sha256 = text_of(*lfs, "oid", what);
      entry.size = size_of(*lfs, what);
    }
    add(listing, std::move(entry), what);
  }
}

void finish_listing(Listing& listing, std::string_view what) {
  std::sort(listing.begin(), listing.end(),
            [](const Entry& a, const Entry& b) { return a.path < b.path; });
  for (size_t i = 1; i < listing.size(); ++i) {
    const std::string &before = listing[i - 1].path, &path = listing[i].path;
    if (before == path) malformed(what, "lists a file twice");
  }
}

std::optional<Url> next_page(std::string_view link, const Url& page) {
  while (!link.empty()) {
    const size_t open = link.find('<'), close = link.find('>', open);
    if (open == link.npos || close == link.npos) return {};
    const std::string_view address = link.substr(open + 1, close - open - 1);
    link.remove_prefix(close + 1);
    const std::string_view parameters = link.substr(0, link.find('<'));
    if (parameters.find("rel=\"next\"") == parameters.npos &&
        parameters.find("rel=next") == parameters.npos) {
      continue;
    }
    const Url next = resolve_url(page, address);
    if (!same_origin(next, page)) malformed(page.text(), "the next page is on another server");
    return next;
  }
  return {};
}

Listing parse_tree_cache(std::string_view json, std::string_view what) {
  const Json root = parse(json, what);
  const Json* version = root.find("format_version");
  const Json* files = root.find("files");
  if (!version || !version->is_integer() || version->integer() != 1 || !files ||
      !files->is_object()) {
    malformed(what, "is no listing of this form");
  }
  Listing listing;
  for (const auto& [path, item] : files->members()) {
    Entry entry{path, size_of(item, what), text_of(item, "blob_id", what),
                optional_text(item, "lfs_sha256"), optional_text(item, "xet_hash")};
    if (const Json* size = item.find("lfs_size"); size && size->is_integer()) {
      entry.size = size->integer();
    }
    add(listing, std::move(entry), what);
  }
  finish_listing(listing, what);
  return listing;
}

std::string tree_cache_text(const Listing& listing) {
  Json files = Json::object();
  for (const Entry& entry : listing) {
    Json item = Json::object();
    item.set("size", entry.size);
    item.set("blob_id", entry.blob_id);
    if (!entry.sha256.empty()) {
      item.set("lfs_sha256", entry.sha256);
      item.set("lfs_size", entry.size);
    }
    if (!entry.xet_hash.empty()) item.set("xet_hash", entry.xet_hash);
    files.members().emplace_back(entry.path, std::move(item));
  }
  Json root = Json::object();
  root.set("format_version", 1);
  root.set("files", std::move(files));
  return root.dump(1);
}

}  // namespace tallow::hub
