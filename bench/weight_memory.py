"""Gemma 4 26B-A4B in less memory than its file: tokens per second by what repacked weights may take.

Each row is a process of its own. `--cold` tells the system five times a second to forget
the file, so that what finds no room is read from the disk: a machine with no memory to spare.

    build/venv/bin/python bench/weight_memory.py --layers 8
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import random_gemma4
import run


def forget(path):
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def own_memory(pid):
    """Bytes that are no file's."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def watch(process, model, cold, samples):
    for tick in itertools.count():
        if process.poll() is not None:
            return
        try:
            samples.append(own_memory(process.pid))
        except OSError:
            return
        if cold and tick % 10 == 0:  # between which what was read ahead is used
            forget(model)
        time.sleep(0.02)


def measure(program, model, gigabytes, cold, options):
    limit = [] if gigabytes is None else ["--weight-memory", str(gigabytes)]
    process = subprocess.Popen(
        [program, "bench", str(model), "--threads", str(options.threads), "--context", "0", "--json",
         "--prefill", str(options.prefill), "--decode", str(options.decode), *limit],
        stdout=subprocess.PIPE, text=True)
    samples = []
    watcher = threading.Thread(target=watch, args=(process, model, cold, samples))
    watcher.start()
    out = process.communicate()[0]
    watcher.join()
    if process.returncode:
        raise SystemExit(f"weight_memory: {program} failed")
    # At first `tallow bench` measures the limits of the machine in memory that it gives back.
    return ({row["test"]: row["tokens_per_s"] for row in json.loads(out)},
            max(samples[len(samples) // 2:]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--layers", type=int, default=8, help="of the 30 (%(default)s)")
    parser.add_argument("--mix", default="q4_0", help="q4_0 or q4_k_m (%(default)s)")
    parser.add_argument("--shares", default="1,0.5,0.25,0", help="of the file (%(default)s)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prefill", type=int, default=512)
    parser.add_argument("--decode", type=int, default=16)
    parser.add_argument("--cold", action="store_true", help="keep none of the file in memory")
    parser.add_argument("--program", default=str(run.ROOT / "build/release/tallow"))
    options = parser.parse_args()
    model = random_gemma4.gemma4(run.ROOT / "build" / "bench", "a4b", options.mix, options.layers,
                                 run.say)
    size = model.stat().st_size
    print(f"{date.today()}, {run.cpu_name()}, {os.cpu_count()} CPUs\n{model.name}, "
          f"{size * 1e-6:.0f} MB, {options.threads} threads{', cold' if options.cold else ''}")
    print(f"{'for weights, GB':>16}{'prefill':>10}{'decode':>10}{'own memory, MB':>16}")
    for share in map(float, options.shares.split(",")):
        gigabytes = None if share == 1 else round(share * size * 1e-9, 2)
        rows, memory = measure(options.program, model, gigabytes, options.cold, options)
        print(f"{'all' if gigabytes is None else gigabytes:>16}{rows.get('prefill', 0):>10.1f}"
              f"{rows.get('decode', 0):>10.2f}{memory * 1e-6:>16.0f}", flush=True)


if __name__ == "__main__":
    main()
