"""The memory of this process. ``getrusage`` would also count what the process was before it became this program."""

from __future__ import annotations

from pathlib import Path


def peak_mebibytes() -> float:
    """The most resident memory that this program has had, in MiB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
