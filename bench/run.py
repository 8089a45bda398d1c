"""Tallow beside llama.cpp and mistral.rs, from one run, on equal threads: `make bench`.

Each program runs alone, in a process of its own, on the same file. Beside the figures stand the
limits of this machine, measured in the same run: decode is bound by reading the weights, prefill by
the arithmetic. The shapes of LLaMA-3.2-1B come with random (valid) blocks: speed does not depend on
the values.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BENCH = ROOT / "bench"
PREFILL, DECODE, CONTEXT = 512, 128, 512
PEERS = {"tallow": "tallow.py", "llama.cpp": "llama_cpp.py", "mistral.rs": "mistral_rs.py"}


def say(text):
    print(text, file=sys.stderr, flush=True)


def cpu_name():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    flags = next((line for line in lines if line.startswith("flags")), "").split()
    isa = [f for f in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16") if f in flags]
    return f"{names[0] if names else platform.processor()} ({', '.join(isa)})"


def measure(peer, model, threads, decode):
    """The rows that one program prints as JSON, or the reason why there are none."""
    command = [sys.executable, str(BENCH / "peers" / PEERS[peer]), str(model), str(threads),
               str(PREFILL), str(decode), str(CONTEXT)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1",
                   "RAYON_NUM_THREADS": str(threads), "TALLOW_THREADS": str(threads)}
    try:
        result = subprocess.run(command, capture_output=True, text=True, env=environment,
                                timeout=1200)
    except subprocess.TimeoutExpired:
        return {"error": "took more than 20 minutes"}
    if result.returncode != 0:
        reason = result.stderr.strip().splitlines() or ["it said nothing"]
        return {"error": reason[-1][:120]}
    return json.loads(result.stdout.strip().splitlines()[-1])


def table(model, threads, rows):
    """Prints one model's figures at one thread count."""
    print(f"\n{model.parent.name}/{model.name}, {model.stat().st_size / 1e6:.0f} MB, "
          f"{threads} thread{'s' if threads > 1 else ''}")
    tests = [("prefill", f"prefill {PREFILL}"), ("decode", "decode at 0"),
             ("decode_context", f"decode at {CONTEXT}"), ("first_token_ms", "first token, ms"),
             ("peak_rss_mb", "peak memory, MB")]
    print(f"  {'tok/s':<16}" + "".join(f"{peer:>12}" for peer in rows) + "   tallow against each")
    for key, label in tests:
        values = {peer: row.get(key) for peer, row in rows.items()}
        cells = "".join(f"{v:>12.1f}" if v else f"{'-':>12}" for v in values.values())
        own, ratios = values.get("tallow"), []
        for peer, value in values.items():
            if own and value and peer != "tallow":
                lower_is_better = key in ("first_token_ms", "peak_rss_mb")
                ratios.append(f"{value / own if lower_is_better else own / value:.2f}x {peer}")
        print(f"  {label:<16}{cells}   {', '.join(ratios)}")
    own = rows.get("tallow", {})
    if "decode_share" in own:
        print(f"  limits here: reading the weights' size {own['read_gb_per_s']:.1f} GB/s, arithmetic "
              f"{own['peak_gflop_per_s']:.0f} G/s; tallow decodes at {own['decode_share']:.0%} of "
              f"the one, prefills at {own['prefill_share']:.0%} of the other")
    for peer, row in rows.items():
        if "error" in row:
            print(f"  {peer}: {row['error']}")


def models(names):
    import random_model
    cache = os.environ.get("TALLOW_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "tallow")
    for name in names:
        if name == "smollm2":
            yield Path(cache) / "smollm2" / "model.gguf"
        else:
            yield random_model.llama_1b(ROOT / "build" / "bench", name, say)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", default="smollm2,q8_0,q4_0,q4_k,q6_k",
                        help="smollm2, or a type for LLaMA-3.2-1B's shapes (%(default)s)")
    parser.add_argument("--threads", default="1,2", help="thread counts (%(default)s)")
    parser.add_argument("--peers", default=",".join(PEERS), help="programs (%(default)s)")
    parser.add_argument("--no-gemm", action="store_true", help="leave out f32 and bf16 products")
    options = parser.parse_args()
    print(f"{date.today()}, {cpu_name()}, {os.cpu_count()} CPUs")
    for model in models(options.models.split(",")):
        small = model.stat().st_size < 300e6
        for threads in map(int, options.threads.split(",")):
            rows = {}
            for peer in options.peers.split(","):
                # mistral.rs takes minutes on the large models, for figures that are far off.
                if peer == "mistral.rs" and not small:
                    continue
                say(f"{model.name}: {peer}, {threads} threads ...")
                rows[peer] = measure(peer, model, threads, DECODE if small else DECODE // 4)
            table(model, threads, rows)
    if not options.no_gemm:
        print("\nmatrix products, beside PyTorch's", flush=True)
        package = ROOT / "build/release/python"
        if not package.exists():
            raise SystemExit("bench: no Python package; configure with -DTALLOW_PYTHON=ON and build")
        subprocess.run([sys.executable, str(BENCH / "gemm.py")], check=True,
                       env={**os.environ, "PYTHONPATH": str(package)})


if __name__ == "__main__":
    sys.path.insert(0, str(BENCH))
    main()
