#!/usr/bin/env bash
# Installs what the machine lacks: scripts/setup.sh [build|run|test|lint]. Does nothing, and needs
# no network, when all is there. Debian packages come from apt, Python packages into build/venv.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/common.sh

compile=(g++ cmake ninja-build rapidjson-dev libpcre2-dev libutf8proc-dev libcli11-dev libedit-dev
  libopenblas-pthread-dev libgfortran-12-dev libboost1.81-dev libmbedtls-dev zlib1g-dev
  libjpeg62-turbo-dev libwebp-dev libflac-dev libvorbis-dev libopus-dev libogg-dev)
case "${1:-build}" in
  build) packages=("${compile[@]}") ;;
  run) packages=("${compile[@]}" python3 python3-venv) ;;
  test)
    packages=("${compile[@]}" python3 python3-dev python3-venv doctest-dev binutils pkg-config)
    ;;
  lint) packages=("${compile[@]}" doctest-dev clang-format clang-tidy) ;;
  *) die "setup.sh: no such set '$1'; it is one of build, run, test, lint" ;;
esac

install_packages() {
  if ! command -v dpkg-query >/dev/null; then
    step "not a Debian system: needed are ${packages[*]}"
    return
  fi
  local missing=() package
  for package in "${packages[@]}"; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
      missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  local root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "not installed: ${missing[*]}; install them as root"
    root=(sudo)
  fi
  step "installing ${missing[*]}"
  "${root[@]}" apt-get update -q || die "apt-get update failed; is the network up?"
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "${missing[@]}" ||
    die "apt-get could not install ${missing[*]}"
}

# The copy of the list that was installed last is the stamp.
install_python() {
  local list=tests/python/requirements.txt stamp=build/venv/requirements.txt torch
  cmp -s "$list" "$stamp" && return
  ensure_venv
  step "installing the Python packages of $list (1.4 GB in build/venv)"
  torch=$(grep '^torch==' "$list")
  build/venv/bin/pip install --disable-pip-version-check "$torch" ||
    die "pip could not install $torch"
  build/venv/bin/pip install --disable-pip-version-check -r "$list" ||
    die "pip could not install $list"
  cp "$list" "$stamp"
}

install_packages
if [ "${1:-build}" = test ]; then install_python; fi
