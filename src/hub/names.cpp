// Checks of names that come from users and from the hub.
#include "hub/names.h"

#include <algorithm>

namespace tallow::hub {
namespace {

using Kind = HubError::Kind;

bool is_alnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

bool is_repo_part(std::string_view part) {
  const auto edge = [](char c) { return c == '.' || c == '-'; };
  if (part.empty() || edge(part.front()) || edge(part.back())) return false;
  return std::all_of(part.begin(), part.end(),
                     [](char c) { return is_alnum(c) || c == '_' || c == '-' || c == '.'; });
}

/// Where the class that begins after `[` ends, or npos; and whether it has `c`.
size_t match_class(std::string_view pattern, size_t at, char c, bool& matched) {
  const bool negated = at < pattern.size() && pattern[at] == '!';
  const size_t first = at += negated;
  matched = false;
  for (; at < pattern.size(); ++at) {
    if (pattern[at] == ']' && at > first) {
      matched ^= negated;
      return at + 1;
    }
    if (at + 2 < pattern.size() && pattern[at + 1] == '-' && pattern[at + 2] != ']') {
      matched |= pattern[at] <= c && c <= pattern[at + 2];
      at += 2;
    } else {
      matched |= pattern[at] == c;
    }
  }
  return pattern.npos;
}

/// One character of `name` against the pattern at `at`, which moves past what matched.
bool match_one(std::string_view pattern, size_t& at, char c) {
  if (at >= pattern.size()) return false;
  if (pattern[at] == '[') {
    bool matched;
    const size_t end = match_class(pattern, at + 1, c, matched);
    if (end != pattern.npos) {
      if (matched) at = end;
      return matched;
    }
  }
  if (pattern[at] != '?' && pattern[at] != c) return false;
  ++at;
  return true;
}

}  // namespace

bool is_lower_hex(std::string_view text, size_t digits) {
  return text.size() == digits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

bool is_commit(std::string_view text) { return is_lower_hex(text, 40); }

bool is_repo_id(std::string_view id) {
  if (id.size() > 96 || id.find("--") != id.npos || id.find("..") != id.npos ||
      id.ends_with(".git")) {
    return false;
  }
  const size_t slash = id.find('/');
  if (slash == id.npos) return is_repo_part(id);
  return is_repo_part(id.substr(0, slash)) && is_repo_part(id.substr(slash + 1));
}

bool is_revision(std::string_view revision) {
  if (revision.empty() || revision.size() > 200 || revision.front() == '/' ||
      revision.back() == '/' || revision.front() == '-' || revision.find("//") != revision.npos ||
      revision.find("..") != revision.npos || revision.find("/.") != revision.npos ||
      revision.front() == '.') {
    return false;
  }
  constexpr std::string_view kForbidden = " ~^:?*[\\";  // git-check-ref-format(1)
  return std::none_of(revision.begin(), revision.end(), [&](char c) {
    return is_control(c) || kForbidden.find(c) != kForbidden.npos;
  });
}

void check_repo(const Repo& repo) {
  if (!is_repo_id(repo.id)) {
    fail_hub(Kind::usage, "\"", repo.id, "\" is not a repository's name; write it as org/name");
  }
  if (!is_revision(repo.revision)) {
    fail_hub(Kind::usage, repo.id, ": \"", repo.revision,
             "\" is not a revision; give a branch, a tag or a commit");
  }
}

void check_file_name(std::string_view name, std::string_view what) {
  const auto refuse = [&](const char* why) {
    std::string shown(name.substr(0, 100));
    std::replace_if(shown.begin(), shown.end(), is_control, '?');
    fail_hub(Kind::answer, what, ": file name \"", shown, "\" ", why, "; nothing was written");
  };
  if (name.empty()) refuse("is empty");
  if (name.size() > 2048) refuse("is too long");
  if (name.front() == '/' || name.front() == '\\') refuse("is absolute");
  if (name.size() > 1 && name[1] == ':') refuse("names a drive");
  if (std::any_of(name.begin(), name.end(), is_control)) refuse("has control characters");
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find_first_of("/\\", begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    if (part == ".." || part == ".") refuse("leaves its folder");
    if (part.empty()) refuse("has an empty part");
    if (part.size() > 255) refuse("is too long");
    begin = end + 1;
  }
}

bool is_etag(std::string_view text) {
  return !text.empty() && text.size() <= 128 && text.front() != '.' &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_alnum(c) || c == '-' || c == '_' || c == '.'; });
}

std::string normalized_etag(std::string_view header) {
  std::string_view etag = header;
  while (!etag.empty() && (etag.front() == 'W' || etag.front() == '/')) etag.remove_prefix(1);
  while (!etag.empty() && etag.front() == '"') etag.remove_prefix(1);
  while (!etag.empty() && etag.back() == '"') etag.remove_suffix(1);
  if (!is_etag(etag)) {
    fail_hub(Kind::answer, "the hub's etag \"", header.substr(0, 80),
             "\" cannot name a file; is HF_ENDPOINT a hub?");
  }
  return std::string(etag);
}

bool matches_glob(std::string_view name, std::string_view pattern) {
  size_t at = 0, in = 0, star = pattern.npos, resume = 0;
  while (in < name.size()) {
    if (at < pattern.size() && pattern[at] == '*') {
      star = ++at;
      resume = in;
    } else if (match_one(pattern, at, name[in])) {
      ++in;
    } else if (star != pattern.npos) {
      at = star;
      in = ++resume;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', at) == pattern.npos;
}

std::string plural(RepoType type) { return to_string(type) + "s"; }

std::string to_string(RepoType type) {
  constexpr const char* kNames[] = {"model", "dataset", "space"};
  return kNames[static_cast<int>(type)];
}

RepoType repo_type_from_name(std::string_view name) {
  for (const RepoType type : {RepoType::model, RepoType::dataset, RepoType::space}) {
    if (name == to_string(type)) return type;
  }
  fail_hub(Kind::usage, "\"", name, "\" is no type of repository; it is model, dataset or space");
}

std::string describe(const Repo& repo) {
  const std::string type = repo.type == RepoType::model ? "" : to_string(repo.type) + " ";
  return str(type, repo.id, repo.revision == "main" ? "" : "@" + repo.revision);
}

}  // namespace tallow::hub
