// `tallow cache`: what was downloaded, and deleting from it.
#include <algorithm>
#include <ctime>

#include "options.h"
#include "process.h"
#include "progress.h"
#include "tallow/error.h"
#include "tallow/hub.h"
#include "tallow/json.h"

namespace tallow::app {
namespace {

std::string day(int64_t seconds) {
  if (seconds == 0) return "never";
  const auto time = static_cast<std::time_t>(seconds);
  std::tm local{};
  ::localtime_r(&time, &local);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &local);
  return text;
}

Json::Array as_json(const std::vector<std::string>& names) { return {names.begin(), names.end()}; }

Json as_json(const hub::CachedRepo& repo) {
  Json::Array revisions;
  for (const hub::CachedRevision& r : repo.revisions) {
    Json revision = Json::object();
    revision.set("commit", r.commit);
    revision.set("refs", as_json(r.refs));
    revision.set("bytes", r.bytes);
    revision.set("files", as_json(r.files));
    revisions.push_back(std::move(revision));
  }
  Json out = Json::object();
  out.set("repo", repo.id);
  out.set("repo_type", to_string(repo.type));
  out.set("path", repo.path);
  out.set("bytes", repo.bytes);
  out.set("files", repo.files);
  out.set("last_used", repo.last_used);
  out.set("revisions", std::move(revisions));
  return out;
}

using Row = std::vector<std::string>;

/// Rows in columns: names to the left, numbers (the second and third) to the right.
std::string table(const std::vector<Row>& rows) {
  std::vector<size_t> widths(rows.front().size());
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string blanks(widths[i] - row[i].size(), ' ');
      const bool last = i + 1 == row.size();
      text += i == 1 || i == 2 ? blanks + row[i] : row[i] + (last ? "" : blanks);
      text += last ? "\n" : "  ";
    }
  }
  return text;
}

/// "main, 3f2a91c", the commits by their beginnings.
std::string revisions_text(const hub::CachedRepo& repo) {
  std::string text;
  for (const hub::CachedRevision& r : repo.revisions) {
    text += text.empty() ? "" : ", ";
    for (const std::string& ref : r.refs) text += ref + " ";
    text += r.refs.empty() ? r.commit.substr(0, 7) : "(" + r.commit.substr(0, 7) + ")";
  }
  return text;
}

int list(const std::string& folder, bool json) {
  const auto repos = hub::list_cache(folder);
  if (json) {
    Json::Array all;
    for (const hub::CachedRepo& repo : repos) all.push_back(as_json(repo));
    write_stdout(Json(std::move(all)).dump() + "\n");
    return 0;
  }
  if (repos.empty()) {
    write_stdout(str("nothing in ", folder, "; `tallow download org/name` fills it\n"));
    return 0;
  }
  std::vector<Row> rows{{"REPOSITORY", "SIZE", "FILES", "LAST USED", "REVISIONS"}};
  int64_t bytes = 0;
  for (const hub::CachedRepo& repo : repos) {
    const std::string kind = repo.type == hub::RepoType::model ? "" : to_string(repo.type) + "s/";
    rows.push_back({kind + repo.id, human_bytes(repo.bytes), std::to_string(repo.files),
                    day(repo.last_used), revisions_text(repo)});
    bytes += repo.bytes;
  }
  write_stdout(table(rows) + str(repos.size(), " in ", folder, ", ", human_bytes(bytes), "\n"));
  return 0;
}

int remove(const std::string& folder, const CacheOptions& options) {
  if (options.repos.size() > 1 && !options.revision.empty()) {
    fail("--revision: goes with one repository; write the others as org/name@revision");
  }
  std::string text;
  for (const std::string& given : options.repos) {
    // Without a revision all go, so that what was not written must not be read as "main".
    hub::Repo repo = hub::parse_repo_name(given).repo;
    if (!options.repo_type.empty()) repo.type = hub::repo_type_from_name(options.repo_type);
    std::string revision = options.revision;
    if (given.find('@') != given.npos) revision = repo.revision;
    const auto gone = hub::delete_cached(folder, repo.type, repo.id, revision, options.dry_run);
    if (options.dry_run) {
      for (const std::string& path : gone.paths) text += path + "\n";
    }
    text += str(options.dry_run ? "would free " : "freed ", human_bytes(gone.bytes), " of ",
                repo.id, revision.empty() ? "" : "@" + revision, "\n");
  }
  write_stdout(text);
  return 0;
}

}  // namespace

int cache(const CacheOptions& options) {
  const std::string folder = hub::Settings::from_environment().cache;
  return options.remove ? remove(folder, options) : list(folder, options.json);
}

}  // namespace tallow::app
