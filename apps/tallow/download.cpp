// `tallow download`: files of a repository on the hub.
#include "options.h"
#include "process.h"
#include "progress.h"
#include "tallow/error.h"
#include "tallow/hub.h"
#include "tallow/json.h"

namespace tallow::app {
namespace {

hub::Download request(const DownloadOptions& options) {
  const hub::ModelName name = hub::parse_repo_name(options.repo);
  hub::Download what{.repo = name.repo,
                     .include = options.files,
                     .exclude = options.exclude,
                     .gguf = name.file,
                     .everything = options.all,
                     .local_dir = options.local_dir,
                     .force = options.force};
  what.include.insert(what.include.end(), options.include.begin(), options.include.end());
  if (!options.revision.empty()) what.repo.revision = options.revision;
  if (!options.repo_type.empty()) what.repo.type = hub::repo_type_from_name(options.repo_type);
  if (!what.gguf.empty() && !what.include.empty()) {
    fail(options.repo, ": names a file already; leave out FILES, or what follows the colon");
  }
  return what;
}

int list(const hub::Download& what, bool json) {
  Json::Array rows;
  std::string text;
  int64_t bytes = 0, present = 0;
  for (const hub::Planned& file : hub::plan(what)) {
    Json row = Json::object();
    row.set("name", file.name);
    row.set("bytes", file.size);
    row.set("present", file.present);
    rows.push_back(std::move(row));
    text +=
        str(file.present ? "there  " : "       ", human_bytes(file.size), "\t", file.name, "\n");
    bytes += file.size;
    present += file.present ? file.size : 0;
  }
  text += str("in all ", human_bytes(bytes), ", to download ", human_bytes(bytes - present), "\n");
  write_stdout(json ? Json(std::move(rows)).dump() + "\n" : text);
  return 0;
}

std::string as_json(const hub::Download& what, const hub::Downloaded& got) {
  Json out = Json::object();
  out.set("repo", what.repo.id);
  out.set("repo_type", to_string(what.repo.type));
  out.set("revision", what.repo.revision);
  out.set("commit", got.commit);
  out.set("path", got.path);
  out.set("files", Json::Array(got.files.begin(), got.files.end()));
  out.set("received_bytes", got.received);
  return out.dump() + "\n";
}

}  // namespace

int download(const DownloadOptions& options) {
  const hub::Download what = request(options);
  if (options.dry_run) return list(what, options.json);
  const hub::OnProgress bars = options.quiet ? hub::OnProgress() : hub::terminal_progress();
  const hub::Downloaded got = hub::download(what, bars);
  write_stdout(options.json ? as_json(what, got) : got.path + "\n");
  return 0;
}

}  // namespace tallow::app
