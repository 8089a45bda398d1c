"""mistral.rs through its wheel: MODEL THREADS PREFILL DECODE CONTEXT, one JSON line. Threads come
from RAYON_NUM_THREADS, which run.py sets."""

import json
import os
import resource
import sys
from pathlib import Path

answer = os.fdopen(os.dup(1), "w")
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

from mistralrs import CompletionRequest, Runner, Which  # noqa: E402 (it logs as it loads)

model, prefill, decode, context = Path(sys.argv[1]), *map(int, sys.argv[3:6])
runner = Runner(which=Which.GGUF(quantized_model_id=str(model.parent),
                                 quantized_filename=model.name), no_kv_cache=False)


def complete(tokens, n, word):
    # A word of its own each time, so that its prefix cache cannot answer.
    return runner.send_completion_request(
        CompletionRequest(model="default", prompt=f"{word} " + " the" * (tokens - 2), max_tokens=n,
                          temperature=1e-4)).usage


def decode_speed(tokens, word):
    return complete(tokens, decode, word).avg_compl_tok_per_sec


print(json.dumps({
    "prefill": complete(prefill, 1, "first").avg_prompt_tok_per_sec,
    "decode": decode_speed(3, "second"),
    "decode_context": decode_speed(context, "third"),
    "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
}), file=answer, flush=True)
os._exit(0)
