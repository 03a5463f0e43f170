"""Takes RUNE_TOOLS, PATH and HOME from tools/env. To be imported before the other modules here."""

import os
import subprocess
from pathlib import Path

_ENV = Path(__file__).resolve().parent.parent / "env"
_said = subprocess.run(["sh", "-c", '. "$1" && printf "%s\\0" "$RUNE_TOOLS" "$PATH" "$HOME"', "sh", str(_ENV)],
                       check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
os.environ.update(zip(("RUNE_TOOLS", "PATH", "HOME"), _said.split("\0")[:3]))
