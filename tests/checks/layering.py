"""Checks that no file includes a header of a layer above its own, and that each third-party
header is seen by one .cpp only. Usage: layering.py REPOSITORY"""

import re
import sys
from pathlib import Path

# What each layer may include, besides itself. The link lines in CMakeLists.txt say the same.
ALLOWED = {
    "core": set(),
    "formats": {"core"},
    "text": {"core"},
    "hub": {"core"},
    "ops": {"core"},
    "cpu": {"core", "ops"},
    "backends": {"core", "ops", "cpu"},
    "nn": {"core", "ops", "formats"},
    "media": {"core", "ops", "formats"},
    "models": {"core", "ops", "formats", "text", "hub", "nn", "media"},
    "convert": {"core", "ops", "formats", "text", "nn", "models"},
    "apps": {"core", "ops", "formats", "text", "hub", "cpu", "nn", "media", "models", "convert"},
}

FOLDERS = {
    "src/core": "core",
    "src/formats": "formats",
    "src/text": "text",
    "src/hub": "hub",
    "src/ops": "ops",
    "src/backend/cpu": "cpu",
    "src/backend/all": "backends",
    "src/nn": "nn",
    "src/media": "media",
    "src/models": "models",
    "src/convert": "convert",
    "apps": "apps",
}

# The layer that each public header belongs to: that of the folder which implements it.
PUBLIC = {
    "core": "autograd buffer device dtype error json op parallel profile random reals scalar shape shared_memory tensor tensor_methods",
    "formats": "files ggml_file gguf inspect npy object pytorch safetensors tensor_file tensor_folder weights",
    "text": "chat_template sampling tokenizer tokenizer_training",
    "hub": "hub",
    "ops": "from_data indexing ops padding print print_fmt",
    "cpu": "limits",
    "nn": "kv_cache nn",
    "media": "audio image",
    "models": "encoders importance language_model models prompt",
    "convert": "convert quantize",
}

THIRD_PARTY = {
    "RapidJSON": r"rapidjson/",
    "PCRE2": r"pcre2\.h",
    "utf8proc": r"utf8proc\.h",
    "CLI11": r"CLI/",
    "Boost": r"boost/",
    "mbedTLS": r"mbedtls/(?!sha|version)",
    "mbedTLS's hashes": r"mbedtls/sha",
    "zlib": r"zlib\.h",
    "libjpeg-turbo": r"jpeglib\.h",
    "libwebp": r"webp/",
    "libFLAC": r"FLAC/",
    "libvorbis": r"vorbis/",
    "libopus": r"opus/",
    "libedit": r"histedit\.h|editline/",
}

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


def layer_of_file(path):
    """The layer of a repository path; None for a folder without one."""
    for folder, layer in FOLDERS.items():
        if path.startswith(folder + "/"):
            return layer
    if path.startswith("include/tallow/ops/"):
        return "ops"
    match = re.fullmatch(r"include/tallow/(\w+)\.(?:h|inc)", path)
    return layer_of_public(match[1]) if match else None


def layer_of_public(stem):
    return next((layer for layer, stems in PUBLIC.items() if stem in stems.split()), None)


def layer_of_include(name):
    """The layer of an included name; None for a system or third-party header."""
    if name.startswith("tallow/ops/"):
        return "ops"
    if name.startswith("tallow/"):
        return layer_of_public(Path(name).stem)
    return next(
        (layer for folder, layer in FOLDERS.items() if f"src/{name}".startswith(folder + "/")), None
    )


def check(root):
    errors = []
    users = {library: [] for library in THIRD_PARTY}
    files = [f for top in ("include", "src", "apps") for f in sorted((root / top).rglob("*"))]
    for file in files:
        if file.suffix not in (".h", ".cpp", ".def", ".inc"):
            continue
        path = file.relative_to(root).as_posix()
        layer = layer_of_file(path)
        if layer is None:
            errors.append(f"{path}: belongs to no layer; add it to tests/checks/layering.py")
            continue
        for name in INCLUDE.findall(file.read_text(encoding="utf-8")):
            for library, pattern in THIRD_PARTY.items():
                if re.match(pattern, name):
                    users[library].append(path)
            used = layer_of_include(name)
            if used and used != layer and used not in ALLOWED[layer]:
                errors.append(f"{path} ({layer}): includes {name}, which is of layer {used}")
    for library, paths in users.items():
        paths = sorted(set(paths))
        if len(paths) > 1 or any(p.endswith(".h") for p in paths):
            errors.append(f"{library}: included by {', '.join(paths)}; wrap it in one .cpp")
    return errors


def main():
    errors = check(Path(sys.argv[1]))
    print("\n".join(errors) or "layering: clean")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
