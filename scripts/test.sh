#!/usr/bin/env bash
# make test, after the set-up: builds and runs every test, and says at the end what passed.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/common.sh

passed=()
begin=$SECONDS

# phase NAME COMMAND...: runs one part; the first failure ends the whole.
phase() {
  local name=$1 start=$SECONDS
  shift
  step "$name: $*"
  "$@" || die "make test: $name failed (passed before it: ${passed[*]:-nothing})"
  passed+=("$name ($((SECONDS - start)) s)")
}

build() {
  cmake --preset "$1" -DTALLOW_TESTS=ON "${options[@]}" >/dev/null &&
    cmake --build --preset "$1" "${@:2}"
}

# The Python package is built for the Python that the tests run in.
options=(-DTALLOW_PYTHON=ON "-DPython_EXECUTABLE=$PWD/build/venv/bin/python")
phase "release build" build release
options=()
phase "C++ tests and checks" ctest --preset release
phase "Python tests" env TALLOW=build/release/tallow TALLOW_PROBE=build/release/tests/tallow_probe \
  PYTHONPATH=build/release/python build/venv/bin/python -m pytest -q -n 2 tests/python
phase "sanitizer build" build asan --target tallow_tests tallow_fuzz
phase "sanitizer tests" ctest --preset asan -L 'unit|fuzz'

step "all passed in $((SECONDS - begin)) s:"
printf '    %s\n' "${passed[@]}" >&2
