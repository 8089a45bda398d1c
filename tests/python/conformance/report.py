"""Writes docs/ops.md: what works, op by op, found out by running the table against PyTorch.

    PYTHONPATH=build/release/python:tests/python python -m conformance.report > docs/ops.md"""

import argparse
import re
import sys
import warnings
from pathlib import Path

import torch

from conformance import harness, known, table

ROOT = Path(__file__).resolve().parents[3]
SHORT = {
    torch.float64: "f64", torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16",
    torch.complex64: "c64", torch.complex128: "c128", torch.int64: "i64", torch.int32: "i32",
    torch.int16: "i16", torch.int8: "i8", torch.uint8: "u8", torch.bool: "bool",
}  # fmt: skip
GROUPS = {
    "real": [torch.float64, torch.float32, torch.float16, torch.bfloat16],
    "complex": [torch.complex64, torch.complex128],
    "integer": [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8],
}


def families():
    """Which header of include/tallow/ops declares a name."""
    found = {}
    for header in sorted((ROOT / "include/tallow/ops").glob("*.h")):
        for name in re.findall(r"^\w[\w:<> ]* (\w+)\(", header.read_text(), re.MULTILINE):
            found.setdefault(name, header.stem)
    return found


def passes(check):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return check()
    except Exception as e:
        print(f"  {str(e).splitlines()[0][:150]}", file=sys.stderr)
        return None


def dtypes_text(good):
    parts = []
    for name, members in GROUPS.items():
        have = [d for d in members if d in good]
        parts += [name] if have == members else [SHORT[d] for d in have]
    return " ".join(parts + ["bool"] * (torch.bool in good))


def line(name, rows, limit):
    good, bad = set(), set()
    for row in rows:
        for dtype in table.dtypes(row):
            ok = passes(lambda: harness.check_forward(row, dtype, limit)) is not None
            (good if ok else bad).add(dtype)
    gradients = [table.gradient_dtypes(row) for row in rows]
    first = second = "-"
    if any(gradients):
        both = [(r, d) for r, dtypes in zip(rows, gradients) for d in dtypes]
        first = "yes" if all(passes(lambda: harness.check_gradients(r, d, False, limit)) is not None
                             for r, d in both) else "no"
        twice = [(r, d) for r, d in both if getattr(r, "supports_gradgrad", True)]
        if twice and first == "yes":
            second = "yes" if all(passes(lambda: harness.check_gradients(r, d, True, limit)) is not None
                                  for r, d in twice) else "no"
    errors = [passes(lambda: harness.check_errors(row)) for row in rows]
    refused = "no" if None in errors else str(sum(errors)) if sum(errors) else "-"
    missing = f" (not {dtypes_text(bad - good) or dtypes_text(bad)})" if bad else ""
    notes = {known.reason(harness.title(r), part) for r in rows for part in known.PARTS} - {None}
    return (f"| `{name}` | {dtypes_text(good - bad)}{missing} | {first} | {second} | {refused} | cpu | "
            f"{'; '.join(sorted(notes))} |", not bad, first != "no", second != "no", refused != "no")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-k", default="", help="only ops whose name holds this")
    parser.add_argument("--limit", type=int, default=24, help="samples of each op and dtype")
    options = parser.parse_args()
    by_name = {}
    for row in table.all_rows():
        if options.k in row.name:
            by_name.setdefault(row.name, []).append(row)
    family, sections, absent = families(), {}, []
    totals = [0] * 5
    for name in sorted(by_name):
        rows = by_name[name]
        if not table.has(rows[0]):
            absent.append(name)
            continue
        print(name, file=sys.stderr, flush=True)
        text, *fine = line(name, rows, options.limit)
        totals = [a + b for a, b in zip(totals, [1, *fine])]
        stem = re.sub(r"^(linalg|fft|special|signal\.windows|nn\.functional)\.", "", name)
        place = "linalg" if name.startswith("linalg.") else family.get(name.split(".")[-1], family.get(stem, "other"))
        sections.setdefault(place, []).append(text)
    count, values, first, second, errors = totals
    print(f"""# Operators

Written by `python -m conformance.report`, which runs PyTorch's own table of sample inputs
({torch.__version__.split("+")[0]}) and ours against the Python package: a row says what came out equal. "Refused" is how many
of the inputs that PyTorch refuses are refused. Gradients are of f64 and c128, against torch.autograd.

{count} ops: values of {values} agree in every dtype that PyTorch has for them, gradients of {first},
second gradients of {second}, refusals of {errors}. Random ops are tested in distribution.""")
    for place in sorted(sections):
        print(f"\n## {place}\n\n| op | dtypes | gradient | second | refused | devices | note |\n"
              "|---|---|---|---|---|---|---|")
        print("\n".join(sections[place]))
    if absent:
        print("\n## Not here\n\nIn PyTorch's table and not in tallow: " + ", ".join(f"`{n}`" for n in absent) + ".")


if __name__ == "__main__":
    main()
