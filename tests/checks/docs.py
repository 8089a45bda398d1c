"""Checks the documents: every path that one names exists, every link leads somewhere, no line or
file is too long, and no word says that something is left to do. Usage: docs.py REPOSITORY"""

import re
import subprocess
import sys
from pathlib import Path

LIMIT = 600
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|TBD|for now|work in progress|coming soon)\b", re.I)
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
CODE = re.compile(r"`([^`\n]+)`")
# What a path may begin with: the folders of the repository, written from its root.
TOPS = ("apps", "bench", "cmake", "docs", "examples", "include", "scripts", "src", "tests")
PATH = re.compile(rf"(?<![\w/.*-])((?:{'|'.join(TOPS)})/[\w./*-]*)")
FILE = re.compile(r"(?<![\w/.*-])([\w./-]*\w\.(?:cpp|h|def|py|sh|md|txt))(?![\w])")
FOLDER = re.compile(r"[\w./-]*\w/")
# Names that stand for files a reader will make.
PLACEHOLDER = re.compile(r"NAME|[*<>]")


def documents(root):
    return sorted([*root.glob("*.md"), *root.glob("docs/**/*.md")])


def exists(root, files, name, folder):
    """From the root, from the document's folder, or as a part of a path in the repository."""
    name = name.rstrip(".")
    if (root / name).exists() or (folder / name).exists():
        return True
    if name.endswith("/"):
        return any(("/" + name) in path for path in files)
    return any(path.endswith("/" + name) for path in files)


def named_paths(line):
    """Paths from a top folder, and file names in code."""
    yield from (m.rstrip("/") for m in PATH.findall(line))
    for code in CODE.findall(line):
        yield from FILE.findall(code)
        if FOLDER.fullmatch(code):
            yield code


def check_file(root, files, path):
    text = path.read_text(encoding="utf-8")
    name = path.relative_to(root).as_posix()
    lines = text.splitlines()
    if len(lines) > LIMIT and "\nWritten by `python" not in text:
        yield f"{name}: {len(lines)} lines, limit {LIMIT}"
    in_code = False
    for number, line in enumerate(lines, 1):
        where = f"{name}:{number}"
        in_code ^= line.lstrip().startswith("```")
        if found := UNFINISHED.search(line):
            yield f"{where}: says '{found[0]}'; finish it, or leave it out"
        for target in [] if in_code else LINK.findall(line):
            if "://" not in target and not (path.parent / target).exists():
                yield f"{where}: the link {target} leads nowhere"
        for named in named_paths(line):
            if not PLACEHOLDER.search(named) and not exists(root, files, named, path.parent):
                yield f"{where}: {named} does not exist"


def repository_files(root):
    listed = subprocess.run(["git", "-C", root, "ls-files"], capture_output=True, text=True)
    if listed.returncode == 0 and listed.stdout:
        return listed.stdout.splitlines()
    return [p.relative_to(root).as_posix() for top in TOPS for p in (root / top).rglob("*")]


def main():
    root = Path(sys.argv[1])
    files = repository_files(root)
    paths = documents(root)
    errors = [error for path in paths for error in check_file(root, files, path)]
    print("\n".join(errors) or f"docs: {len(paths)} files, clean")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
