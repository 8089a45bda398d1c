"""Checks that kernels compiled for one instruction set define no symbol that the linker could take
for another file's: a copy of an inline std function with AVX-512 in it, merged into the program,
would crash machines without it. Usage: isa_symbols.py NM OBJECT..."""

import re
import subprocess
import sys

# Symbols in a namespace of their own instruction set, and data without code.
OWN = re.compile(r"isa_(portable|avx2|avx512|vnni|bf16|amx)")
DATA = re.compile(r"^(DW\.ref\.|typeinfo (name )?for |vtable for )")
HARMLESS = {"__clang_call_terminate"}


def shared_symbols(nm, path):
    """The weak and unique symbols with code that `path` defines, demangled."""
    lines = subprocess.run([nm, "-C", "--defined-only", path], check=True, capture_output=True,
                           text=True).stdout.splitlines()
    for line in lines:
        match = re.match(r"^[0-9a-f]* ([WVu]) (.*)$", line)
        if not match or OWN.search(match[2]) or DATA.match(match[2]) or match[2] in HARMLESS:
            continue
        yield match[2]


def main():
    nm, *objects = sys.argv[1:]
    errors = [f"{path}: defines {symbol}" for path in objects if "isa_portable" not in path
              for symbol in shared_symbols(nm, path)]
    for error in errors:
        print(error)
    if errors:
        print("Kernels may not define shared inline functions: call them from the file that "
              "dispatches, or write a local one.")
    else:
        print(f"isa symbols: {len(objects)} objects, clean")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
