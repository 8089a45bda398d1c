"""llama.cpp through the xllamacpp wheel: MODEL THREADS PREFILL DECODE CONTEXT, one JSON line."""

import json
import os
import resource
import sys

import xllamacpp

model, threads, prefill, decode, context = sys.argv[1], *map(int, sys.argv[2:6])

# The library logs to both streams; the answer goes to the real stdout alone.
answer = os.fdopen(os.dup(1), "w")
null = os.open(os.devnull, os.O_WRONLY)
os.dup2(null, 1)
os.dup2(null, 2)

params = xllamacpp.CommonParams()
params.model.path = model
params.n_ctx = 2048
params.n_parallel = 1
params.n_gpu_layers = 0
params.cpuparams.n_threads = threads
params.cpuparams_batch.n_threads = threads
server = xllamacpp.Server(params)


def complete(tokens, n):
    prompt = [100 + i * 37 % 100 for i in range(tokens)]
    reply = server.handle_completions(
        {"prompt": prompt, "n_predict": n, "cache_prompt": False, "temperature": 0,
         "ignore_eos": True})
    reply = json.loads(reply) if isinstance(reply, (str, bytes)) else reply
    return reply["timings"]


complete(32, 2)  # the first pass touches all pages
runs = 3 if os.path.getsize(model) < 300e6 else 1  # large models' runs are long, and so steadier
print(json.dumps({
    "prefill": max(complete(prefill, 1)["prompt_per_second"] for _ in range(runs)),
    "decode": max(complete(1, decode)["predicted_per_second"] for _ in range(runs)),
    "decode_context": max(complete(context, decode)["predicted_per_second"] for _ in range(runs)),
    "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
}), file=answer, flush=True)
os._exit(0)
