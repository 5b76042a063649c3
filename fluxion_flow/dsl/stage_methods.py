"""One method for every stage, so that an editor completes ``.match(`` and ``.group(``.

They are written out, not made at run time, for the editor's sake; a test keeps them complete. A method's name is the
stage's in snake_case: ``$sortByCount`` is ``sort_by_count``.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, TypeVar

B = TypeVar("B", bound="StageMethods")


def method_name(stage: str) -> str:
    """The method of a stage: ``$sortByCount`` gives ``sort_by_count``."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\\1", stage.removeprefix("$")).lower()


class StageMethods(ABC):
    """The methods that add a stage.

    Each takes the stage's specification as in MongoDB. ``name`` is for runtime overrides and metrics; ``on_error`` is
    an error policy for this stage alone, or one as data.
    """

    @abstractmethod
    def stage(self: B, operator: str, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """Add the stage ``operator``, such as ``"$match"``."""

'''.replace("\\\\1","\\1") + '''E
