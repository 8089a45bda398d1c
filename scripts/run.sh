#!/usr/bin/env bash
# make run, after the build: a fixed prompt, and then, on a terminal, a chat.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/common.sh

prompt="Why is the sky blue? Answer in two sentences."
step "tallow run smollm2 -p \"$prompt\" --stats"
build/release/tallow run smollm2 -p "$prompt" --stats
if [ -t 0 ] && [ -t 1 ]; then
  step "tallow run smollm2 (a chat; Ctrl-D ends it)"
  exec build/release/tallow run smollm2
fi
