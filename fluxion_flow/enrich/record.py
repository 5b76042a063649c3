"""Placeholder."""

from typing import Any


class Record:
    def recall(self, step: str, questions: Any, answers: Any) -> None: ...
    def keep(self, step: str, pairs: Any) -> None: ...
