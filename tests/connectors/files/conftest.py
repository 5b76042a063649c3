"""Where the tests of files find what they share."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2] / "servers")]
