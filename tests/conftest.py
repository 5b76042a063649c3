"""What holds for all tests: none depends on the speed of the machine.

The many processes that they start share compiled modules, also where the environment forbids it: compiling the package
anew takes a process longer than most of these tests need.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile("no time limits", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no time limits")
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
