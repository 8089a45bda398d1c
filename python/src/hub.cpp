// The hub: tallow.hub, whose Python half is python/tallow/hub.py.
#include "hub.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <array>

#include <unistd.h>

#include "tallow/hub.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace tallow::python {
namespace {

using Kind = hub::HubError::Kind;

struct ErrorClass {
  Kind kind;
  const char* name;
  const char* text;
};
// Named as those of `huggingface_hub`.
constexpr ErrorClass kErrorClasses[] = {
    {Kind::no_repo, "RepositoryNotFoundError", "There is no such repository, or it is private."},
    {Kind::gated, "GatedRepoError", "The repository's terms must be accepted first."},
    {Kind::no_revision, "RevisionNotFoundError", "The repository has no such revision."},
    {Kind::no_entry, "EntryNotFoundError", "The repository has no such file."},
    {Kind::offline, "OfflineModeIsEnabled", "Not in the cache, and requests are not allowed."},
};
PyObject* hub_error;
std::array<PyObject*, std::size(kErrorClasses)> error_classes;

PyObject* class_of(Kind kind) {
  for (size_t i = 0; i < std::size(kErrorClasses); ++i) {
    if (kErrorClasses[i].kind == kind) return error_classes[i];
  }
  return hub_error;
}

PyObject* new_class(nb::module_& m, const char* name, const char* text, PyObject* base) {
  const std::string full = str("tallow.hub.", name);
  PyObject* type = PyErr_NewExceptionWithDoc(full.c_str(), text, base, nullptr);
  m.attr(name) = nb::borrow(type);
  return type;
}

void add_errors(nb::module_& m) {
  nb::object base = m.attr("Error");
  hub_error =
      new_class(m, "HubError", "What the hub, the network or the cache can cause.", base.ptr());
  for (size_t i = 0; i < std::size(kErrorClasses); ++i) {
    error_classes[i] = new_class(m, kErrorClasses[i].name, kErrorClasses[i].text, hub_error);
  }
  nb::register_exception_translator([](const std::exception_ptr& error, void*) {
    try {
      std::rethrow_exception(error);
    } catch (const hub::HubError& e) {
      PyErr_SetString(class_of(e.kind()), e.what());
    }
  });
}

/// Bars on a terminal, if wanted; and Ctrl-C, which comes as Python's exception.
hub::OnProgress progress(bool bars) {
  return [draw = bars ? hub::terminal_progress() : hub::OnProgress()](const hub::Progress& p) {
    {
      nb::gil_scoped_acquire gil;
      if (PyErr_CheckSignals() != 0) throw nb::python_error();
    }
    return !draw || draw(p);
  };
}

/// Takes an option from Python's keywords where it is given and not None.
template <class T>
void option(const nb::dict& given, const char* name, T& to) {
  if (given.contains(name) && !given[name].is_none()) to = nb::cast<T>(given[name]);
}

hub::Download download_of(const nb::dict& given) {
  hub::Download what;
  std::string type = "model";
  option(given, "repo_id", what.repo.id);
  option(given, "revision", what.repo.revision);
  option(given, "repo_type", type);
  what.repo.type = hub::repo_type_from_name(type);
  option(given, "include", what.include);
  option(given, "exclude", what.exclude);
  option(given, "gguf", what.gguf);
  option(given, "everything", what.everything);
  option(given, "local_dir", what.local_dir);
  option(given, "force_download", what.force);
  option(given, "endpoint", what.settings.endpoint);
  option(given, "cache_dir", what.settings.cache);
  option(given, "token", what.settings.token);
  option(given, "local_files_only", what.settings.offline);
  return what;
}

nb::object snapshot(const nb::dict& given, bool bars) {
  const hub::Download what = download_of(given);
  hub::Downloaded got;
  {
    nb::gil_scoped_release no_gil;
    got = hub::download(what, progress(bars));
  }
  return nb::cast(got.path);
}

nb::object file(const nb::dict& given, const std::string& name, bool bars) {
  const hub::Download what = download_of(given);
  std::string path;
  {
    nb::gil_scoped_release no_gil;
    path = hub::download_file(what, name, progress(bars));
  }
  return nb::cast(path);
}

nb::dict as_dict(const hub::CachedRepo& repo) {
  nb::list revisions;
  for (const hub::CachedRevision& r : repo.revisions) {
    nb::dict revision;
    revision["commit"] = r.commit;
    revision["refs"] = r.refs;
    revision["files"] = r.files;
    revision["bytes"] = r.bytes;
    revisions.append(revision);
  }
  nb::dict out;
  out["repo_id"] = repo.id;
  out["repo_type"] = to_string(repo.type);
  out["path"] = repo.path;
  out["bytes"] = repo.bytes;
  out["files"] = repo.files;
  out["last_used"] = repo.last_used;
  out["revisions"] = revisions;
  return out;
}

nb::list cached(const std::optional<std::string>& folder) {
  nb::list out;
  for (const auto& repo :
       hub::list_cache(folder.value_or(hub::Settings::from_environment().cache))) {
    out.append(as_dict(repo));
  }
  return out;
}

int64_t delete_cached(const std::string& id, const std::string& revision, const std::string& type,
                      const std::optional<std::string>& folder, bool dry_run) {
  const std::string cache = folder.value_or(hub::Settings::from_environment().cache);
  return hub::delete_cached(cache, hub::repo_type_from_name(type), id, revision, dry_run).bytes;
}

}  // namespace

std::string find_model(const std::string& name) {
  const bool there = ::access(name.c_str(), F_OK) == 0;
  const auto on_hub = there ? std::nullopt : hub::parse_model_name(name);
  return on_hub ? hub::fetch_model(*on_hub, progress(/*bars=*/true)) : name;
}

void add_hub(PyObject* module) {
  auto m = nb::borrow<nb::module_>(module);
  add_errors(m);
  m.def("_hub_snapshot", snapshot);
  m.def("_hub_file", file);
  m.def("_hub_cached", cached, "cache_dir"_a.none());
  m.def("_hub_delete", delete_cached, "repo_id"_a, "revision"_a, "repo_type"_a,
        "cache_dir"_a.none(), "dry_run"_a);
  m.def("_hub_model", &find_model, nb::call_guard<nb::gil_scoped_release>());
}

}  // namespace tallow::python
