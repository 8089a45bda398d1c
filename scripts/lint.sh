#!/usr/bin/env bash
# make lint: clang-format in check mode, then clang-tidy on every .cpp, or on those given.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/common.sh

sources() { git ls-files --cached --others --exclude-standard -- "$@"; }

step "clang-format"
sources '*.cpp' '*.h' | xargs clang-format --dry-run -Werror || die "run make format"

step "length of files"
sources '*.cpp' '*.h' '*.py' '*.sh' | xargs wc -l | awk '$1 > 600 && $2 != "total" {
  print $2 ": " $1 " lines, limit 600"; bad = 1 } END { exit bad }' || die "split these files"

step "clang-tidy"
cmake --preset debug -DTALLOW_TESTS=ON -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON >/dev/null
[ $# -gt 0 ] || mapfile -t files < <(sources 'src/*.cpp' 'apps/*.cpp' 'examples/*.cpp')
printf '%s\n' "${@:-${files[@]}}" |
  xargs -n 1 -P "$(nproc)" clang-tidy --quiet --warnings-as-errors='*' -p build/debug \
    2> >(grep -v 'warnings generated\|Suppressed\|Use -header-filter' >&2 || true)
step "clean"
