#!/usr/bin/env bash
# make lint: clang-format in check mode, then clang-tidy on every .cpp, or on those given.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/common.sh

sources() { git ls-files --cached --others --exclude-standard -- "$@"; }

step "clang-format"
sources '*.cpp' '*.h' | xargs clang-format --dry-run -Werror || die "run make format"

step "clang-tidy"
cmake --preset debug -DTALLOW_TESTS=ON >/dev/null
if [ $# -gt 0 ]; then printf '%s\n' "$@"; else sources 'src/*.cpp' 'apps/*.cpp'; fi |
  xargs -n 1 -P "$(nproc)" clang-tidy --quiet --warnings-as-errors='*' -p build/debug \
    2> >(grep -v 'warnings generated\|Suppressed\|Use -header-filter' >&2 || true)
step "clean"
