"""Checks that the files which python/generate.py writes into the repository are up to date.
Usage: generated.py REPOSITORY"""

import subprocess
import sys
from pathlib import Path

generator = Path(sys.argv[1]) / "python/generate.py"
sys.exit(subprocess.run([sys.executable, str(generator), "check"]).returncode)
