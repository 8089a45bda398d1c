"""Gemma 4 beside llama.cpp: text, from one run, on equal threads.

Random weights at the true shapes of E2B and 26B-A4B (fewer layers of the latter), in the mixes of
block types that llama.cpp writes: speed does not depend on the values. `--layers 10` is enough of
E2B for the ratios, and takes a third of the memory.

    build/venv/bin/python bench/gemma4.py --models e2b --layers 10
"""

import argparse
import os
import sys
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import random_gemma4
import run

LAYERS = {"e2b": 35, "a4b": 5}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", default="e2b,a4b", help="e2b, a4b (%(default)s)")
    parser.add_argument("--mixes", default="q4_0,q4_k_m", help="q4_0, q4_k_m (%(default)s)")
    parser.add_argument("--layers", type=int, help="how many (35 of E2B, 5 of 26B-A4B)")
    parser.add_argument("--threads", default="1,2", help="thread counts (%(default)s)")
    parser.add_argument("--peers", default="tallow,llama.cpp", help="programs (%(default)s)")
    parser.add_argument("--decode", type=int, default=32, help="tokens to decode (%(default)s)")
    options = parser.parse_args()
    print(f"{date.today()}, {run.cpu_name()}, {os.cpu_count()} CPUs")
    for name in options.models.split(","):
        for mix in options.mixes.split(","):
            model = random_gemma4.gemma4(run.ROOT / "build" / "bench", name, mix,
                                         options.layers or LAYERS[name], run.say)
            for threads in map(int, options.threads.split(",")):
                rows = {}
                for peer in options.peers.split(","):
                    run.say(f"{model.name}: {peer}, {threads} threads ...")
                    rows[peer] = run.measure(peer, model, threads, options.decode)
                run.table(model, threads, rows)


if __name__ == "__main__":
    main()
