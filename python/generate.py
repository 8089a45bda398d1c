#!/usr/bin/env python3
"""Makes the Python bindings and the methods of Tensor from the headers in include/tallow/ops.

    generate.py bindings OUT     one bind_FAMILY.cpp per header, and methods.cpp
    generate.py stubs OUT        the .pyi files
    generate.py methods          include/tallow/tensor_methods.inc and src/ops/tensor_methods*.cpp
    generate.py check            whether those are up to date
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from generator import bindings, declarations, methods, stubs

ROOT = Path(__file__).resolve().parent.parent


def main():
    command, *rest = sys.argv[1:] or ["help"]
    api = declarations.read(ROOT)
    if command == "bindings":
        bindings.write(api, Path(rest[0]))
    elif command == "stubs":
        stubs.write(api, Path(rest[0]), ROOT / "python/tallow")
    elif command == "methods":
        methods.write(api, ROOT)
    elif command == "check":
        with tempfile.TemporaryDirectory() as scratch:
            old = methods.outdated(api, ROOT, Path(scratch))
        if old:
            sys.exit(f"not up to date: {', '.join(old)}; run python/generate.py methods")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
