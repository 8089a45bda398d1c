"""The model hub: downloads into the cache that Python's `huggingface_hub` uses, both ways.

    path = tallow.hub.download("HuggingFaceTB/SmolLM2-135M-Instruct")
    model = tallow.load("HuggingFaceTB/SmolLM2-135M-Instruct")  # the same, and opens it

The environment variables are those of that package: HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN,
HF_HUB_OFFLINE; and HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE.
"""

import os

from . import _C
from ._C import (EntryNotFoundError, GatedRepoError, HubError,  # noqa: F401
                 OfflineModeIsEnabled, RepositoryNotFoundError, RevisionNotFoundError)

__all__ = ["download", "hf_hub_download", "snapshot_download", "list_cache", "delete_cached",
           "HubError", "EntryNotFoundError", "GatedRepoError", "OfflineModeIsEnabled",
           "RepositoryNotFoundError", "RevisionNotFoundError"]


def _patterns(given):
    if given is None:
        return None
    return [given] if isinstance(given, str) else list(given)


def _options(options):
    """Paths as text, and the token as the Python client has it: False is none."""
    for name in ("cache_dir", "local_dir"):
        if options.get(name) is not None:
            options[name] = os.path.abspath(os.path.expanduser(os.fspath(options[name])))
    if options.get("token") is True:
        options["token"] = None
    if options.get("token") is False:
        options["token"] = ""
    if isinstance(options.get("endpoint"), str):
        options["endpoint"] = options["endpoint"].rstrip("/")
    return options


def download(name):
    """Downloads what is needed to run a model: the path of its folder or .gguf file. `name` is
    org/name, org/name@revision, or either with :Q4_K_M or :file.gguf after it."""
    if os.path.exists(name):
        return os.fspath(name)
    return _C._hub_model(name)


def snapshot_download(repo_id, *, repo_type=None, revision=None, cache_dir=None, local_dir=None,
                      force_download=False, token=None, local_files_only=None,
                      allow_patterns=None, ignore_patterns=None, endpoint=None, progress=True):
    """Downloads a repository, or the files of it that match: the path of its folder."""
    options = dict(repo_id=repo_id, repo_type=repo_type, revision=revision, cache_dir=cache_dir,
                   local_dir=local_dir, force_download=force_download, token=token,
                   local_files_only=local_files_only or None, endpoint=endpoint,
                   include=_patterns(allow_patterns), exclude=_patterns(ignore_patterns),
                   everything=True)
    return _C._hub_snapshot(_options(options), progress)


def hf_hub_download(repo_id, filename, *, subfolder=None, repo_type=None, revision=None,
                    cache_dir=None, local_dir=None, force_download=False, token=None,
                    local_files_only=None, endpoint=None, progress=True):
    """Downloads one file, unless the cache has it: its path."""
    if subfolder:
        filename = f"{subfolder}/{filename}"
    options = dict(repo_id=repo_id, repo_type=repo_type, revision=revision, cache_dir=cache_dir,
                   local_dir=local_dir, force_download=force_download, token=token,
                   local_files_only=local_files_only or None, endpoint=endpoint)
    return _C._hub_file(_options(options), filename, progress)


def list_cache(cache_dir=None):
    """What the cache holds: a list of dictionaries with repo_id, repo_type, path, bytes, files,
    last_used (seconds since 1970) and revisions."""
    return _C._hub_cached(None if cache_dir is None else os.fspath(cache_dir))


def delete_cached(repo_id, revision="", *, repo_type="model", cache_dir=None, dry_run=False):
    """Deletes a repository, or one revision of it and what only it needs, from the cache: the
    number of bytes that this frees. With `dry_run` nothing is deleted."""
    folder = None if cache_dir is None else os.fspath(cache_dir)
    return _C._hub_delete(repo_id, revision, repo_type, folder, dry_run)
