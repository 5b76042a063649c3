"""What holds for all tests: no test depends on the speed of the machine."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("no time limits", deadline=None)
settings.load_profile("no time limits")
