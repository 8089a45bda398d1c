#!/usr/bin/env bash
# Checks that a program, stripped, is under a limit. Usage: size.sh STRIP PROGRAM BYTES
set -euo pipefail
stripped=$(mktemp)
trap 'rm -f "$stripped"' EXIT
"$1" -o "$stripped" "$2"
bytes=$(stat -c %s "$stripped")
echo "$2: $bytes bytes stripped, limit $3"
[ "$bytes" -lt "$3" ]
