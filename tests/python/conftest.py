"""What the Python tests share: the command, the probe, the default model, and a quiet set-up.

The programs are named by TALLOW and TALLOW_PROBE, and are those of the release build otherwise.
A missing program is a failure, not a skip: a test that did not run proves nothing.
"""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# The tests run side by side; each of PyTorch's pools would take all cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")


class Program:
    """A program under test. Calling it runs it: `tallow("run", folder, stdin=b"...")`."""

    def __init__(self, path):
        self.path = str(path)

    def __call__(self, *args, stdin=b"", check=True, env=None, timeout=120):
        """The CompletedProcess, its stdout and stderr as bytes. `stdin` is bytes or text, `env` is
        added to the environment. With check, a status other than 0 fails the test, showing stderr.
        """
        data = stdin.encode() if isinstance(stdin, str) else stdin
        result = subprocess.run([self.path, *map(str, args)], input=data, capture_output=True,
                                env={**os.environ, **(env or {})}, timeout=timeout)
        if check and result.returncode != 0:
            pytest.fail(f"{self.path} {' '.join(map(str, args))}: status {result.returncode}\n"
                        f"{result.stderr.decode(errors='replace')}")
        return result


def _program(variable, default):
    path = Path(os.environ.get(variable) or ROOT / default).absolute()
    if not path.is_file():
        pytest.fail(f"{variable}: no program {path}; build it, or name another in {variable}")
    return Program(path)


@pytest.fixture(scope="session")
def tallow():
    """The command `tallow`, as a Program."""
    return _program("TALLOW", "build/release/tallow")


@pytest.fixture(scope="session")
def probe():
    """`tallow_probe`, as a Program: `probe("dequantize", "q4_0", stdin=blocks).stdout`."""
    return _program("TALLOW_PROBE", "build/release/tests/tallow_probe")


@pytest.fixture(scope="session")
def smollm2():
    """The path of the default model, which scripts/fetch-model.sh fetched."""
    cache = os.environ.get("TALLOW_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "tallow")
    path = Path(cache) / "smollm2" / "model.gguf"
    if not path.is_file():
        pytest.fail(f"no model {path}; run scripts/fetch-model.sh")
    return path
