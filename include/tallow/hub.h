// The model hub: downloads into the cache that Python's `huggingface_hub` uses, and what is in it.
//
//   const auto model = tallow::hub::download({.repo = {"HuggingFaceTB/SmolLM2-135M"}});
//   tallow::LanguageModel lm(model.path);
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tallow/error.h"

namespace tallow::hub {

/// What the hub, the network or the cache can cause. The message names the remedy.
class HubError : public Error {
 public:
  enum class Kind {
    network,  ///< no answer, or a broken one
    offline,  ///< not in the cache, and requests are not allowed
    no_repo,  ///< there is none of that name, or it is private
    gated,    ///< its terms must be accepted first
    denied,   ///< the token does not allow it
    no_revision,
    no_entry,  ///< no such file in the repository
    answer,    ///< what came is not what the hub's protocol says, or has the wrong hash
    limited,   ///< too many requests
    disk,      ///< the cache cannot be written or read
    cancelled,
    usage,  ///< a malformed name
  };
  HubError(Kind kind, const std::string& message) : Error(message), kind_(kind) {}
  Kind kind() const { return kind_; }

 private:
  Kind kind_;
};

/// From where, to where, and as whom. Environment variables mean what they mean to the Python
/// client: HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, XDG_CACHE_HOME,
/// HF_HUB_OFFLINE, HF_TOKEN, HUGGING_FACE_HUB_TOKEN, HF_TOKEN_PATH, HF_HUB_DISABLE_IMPLICIT_TOKEN,
/// HF_HUB_DOWNLOAD_TIMEOUT, HF_HUB_ETAG_TIMEOUT, HF_HUB_DISABLE_SYMLINKS; and HTTP_PROXY,
/// HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE, REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE.
struct Settings {
  std::string endpoint;          ///< "https://huggingface.co"
  std::string cache;             ///< the folder of models--org--name
  std::string token;             ///< empty: none
  bool offline = false;          ///< make no request
  bool symlinks = true;          ///< else snapshots hold the files themselves
  double metadata_timeout = 10;  ///< seconds without a byte
  double download_timeout = 10;
  /// Throws HubError when a variable cannot be read as what it should be.
  static Settings from_environment();
};

enum class RepoType { model, dataset, space };
std::string to_string(RepoType type);
/// "model", "dataset" or "space". Throws HubError for another.
RepoType repo_type_from_name(std::string_view name);

struct Repo {
  std::string id;  ///< "org/name"
  std::string revision = "main";
  RepoType type = RepoType::model;
};

/// How far a download is.
struct Progress {
  struct File {
    std::string name;
    int64_t done = 0;
    int64_t total = -1;  ///< -1: not known
    bool finished = false;
  };
  std::vector<File> files;
  std::string note;    ///< what is being waited for, or nothing
  bool ended = false;  ///< the last report
};
/// Called some ten times a second by the thread that asked; false stops, throwing HubError.
using OnProgress = std::function<bool(const Progress&)>;
/// Bars on standard error if that is a terminal, else nothing.
OnProgress terminal_progress();

struct Download {
  Repo repo;
  /// Names or globs ("*.json"; `*` matches `/` too; "folder/" is all below it). Empty: of a model
  /// what is needed to run it, of other repositories everything.
  std::vector<std::string> include = {};
  std::vector<std::string> exclude = {};
  /// A GGUF file, by name, glob or quantization ("Q4_K_M"), instead of `include`.
  std::string gguf = {};
  bool everything = false;     ///< with an empty `include`: all files
  bool weights = true;         ///< else of a model what tokenizes, where that lies beside them
  std::string local_dir = {};  ///< files go there, and not into the cache
  bool force = false;          ///< download again what is there
  Settings settings = Settings::from_environment();
};

struct Downloaded {
  std::string path;                ///< the snapshot's folder, or local_dir
  std::string commit;              ///< 40 hexadecimal digits
  std::vector<std::string> files;  ///< names in the repository, sorted
  int64_t received = 0;            ///< bytes of files that came over the network
};

/// Downloads what is not in the cache yet: checked by hash, resumed where a download broke off, in
/// parallel. When the hub cannot be reached, what the cache holds is taken. Throws HubError.
Downloaded download(const Download& what, const OnProgress& on_progress = {});

/// A file that download() would see to.
struct Planned {
  std::string name;
  int64_t size = 0;      ///< -1: not known
  bool present = false;  ///< in the cache, or in local_dir
};
/// What download() would do, by name. Throws HubError.
std::vector<Planned> plan(const Download& what, const OnProgress& on_progress = {});

/// One file, as `hf_hub_download`: its path in the cache. Throws HubError.
std::string download_file(const Download& what, const std::string& file,
                          const OnProgress& on_progress = {});

/// What a user may write for a model on the hub: org/name, org/name@revision, either followed by
/// :file.gguf or by a quantization as in :Q4_K_M; also with hf:// or the hub's address before it.
struct ModelName {
  Repo repo;
  std::string file;
};
/// Nothing when `text` cannot be such a name.
std::optional<ModelName> parse_model_name(std::string_view text);
/// The same for any repository: also name alone, datasets/org/name and spaces/org/name. Throws
/// HubError.
ModelName parse_repo_name(std::string_view text);
/// Downloads what is needed to run the model, or only to tokenize for it; the path of its folder or
/// .gguf file.
std::string fetch_model(const ModelName& name, const OnProgress& on_progress = {},
                        bool weights = true);

struct CachedRevision {
  std::string commit;
  std::vector<std::string> refs;  ///< branches and tags that led to it
  std::vector<std::string> files;
  int64_t bytes = 0;
};
struct CachedRepo {
  RepoType type;
  std::string id;
  std::string path;
  int64_t bytes = 0;  ///< on the disk; a file that revisions share counts once
  int64_t files = 0;
  int64_t last_used = 0;  ///< seconds since 1970: the latest access to a file, 0 when there is none
  std::vector<CachedRevision> revisions;
};
/// What a cache folder holds, by name; nothing when it does not exist.
std::vector<CachedRepo> list_cache(const std::string& cache);

struct Deleted {
  std::vector<std::string> paths;
  int64_t bytes = 0;
};
/// Deletes a repository, or one revision (a commit, its beginning, or a ref) and what only it
/// needs. With `dry_run` it only says what would go. Throws HubError when it is not there.
Deleted delete_cached(const std::string& cache, RepoType type, const std::string& id,
                      const std::string& revision = {}, bool dry_run = false);

}  // namespace tallow::hub
