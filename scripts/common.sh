# Helpers of the scripts in this folder: sourced, not run. Messages go to standard error.

step() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Makes build/venv, with pip, if it is not there.
ensure_venv() {
  [ -x build/venv/bin/pip ] && return
  step "making build/venv with $(python3 --version)"
  rm -rf build/venv
  python3 -m venv build/venv || die "python3 cannot make build/venv; install python3-venv"
}
