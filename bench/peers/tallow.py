"""The command `tallow`: MODEL THREADS PREFILL DECODE CONTEXT, one JSON line."""

import json
import os
import subprocess
import sys
from pathlib import Path

COMMAND = os.environ.get("TALLOW", Path(__file__).resolve().parents[2] / "build/release/tallow")
model, threads, prefill, decode, context = sys.argv[1:6]


def tallow(*words):
    return json.loads(subprocess.run([COMMAND, *words], capture_output=True, check=True).stdout)


bench = tallow("bench", model, "--prefill", prefill, "--decode", decode, "--context",
               f"0,{context}", "--threads", threads, "--json")
rows = {(row["test"], row["context"]): row for row in bench}
# A prompt of some twenty tokens; the best of three runs.
runs = [tallow("run", model, "--raw", "-p", "The capital of France is Paris, and the capital of "
               "Italy is Rome; the capital of Spain is", "-n", "2", "--threads", threads, "--json")
        for _ in range(3)]
prompt = rows["prefill", 0]
print(json.dumps({
    "prefill": prompt["tokens_per_s"],
    "prefill_share": prompt["gflop_per_s"] / prompt["limit_gflop_per_s"],
    "decode": rows["decode", 0]["tokens_per_s"],
    "decode_share": rows["decode", 0]["gb_per_s"] / rows["decode", 0]["limit_gb_per_s"],
    "decode_context": rows["decode", int(context)]["tokens_per_s"],
    "first_token_ms": min(run["first_token_ms"] for run in runs),
    "peak_rss_mb": max(run["peak_rss_bytes"] for run in runs) / 1e6,
    "read_gb_per_s": rows["decode", 0]["limit_gb_per_s"],
    "peak_gflop_per_s": prompt["limit_gflop_per_s"],
}))
