#!/usr/bin/env bash
# Installs the build into a folder of its own and builds an outside project against it, through
# find_package and through pkg-config. Usage: install.sh BUILD SOURCE WORK COMPILER
set -euo pipefail
build=$1 source=$2 work=$3 compiler=$4

rm -rf "$work"
cmake --install "$build" --prefix "$work/prefix" >/dev/null

# Moved once, so that a path of the build or of the first prefix shows.
mv "$work/prefix" "$work/moved"
prefix=$work/moved
if grep -rlF -e "$(cd "$source/../.." && pwd)" "$prefix/lib/cmake" "$prefix/lib/pkgconfig"; then
  echo "the installed configuration names folders of the build" >&2
  exit 1
fi

cmake -S "$source" -B "$work/project" -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_PREFIX_PATH="$prefix" >/dev/null
cmake --build "$work/project"
"$work/project/outside"

export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
read -ra flags <<<"$(pkg-config --cflags --libs tallow)"
"$compiler" -std=c++20 "$source/main.cpp" "${flags[@]}" -o "$work/outside"
"$work/outside"
