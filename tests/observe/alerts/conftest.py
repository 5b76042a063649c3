"""Alerts are sent to a real server on a loopback port."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "servers"))

from http_server import server

__all__ = ["server"]
