"""A secret that was written out in a setting: from there on it does not show."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from fluxion_flow.connect.secrets import Reference, register_secret
from fluxion_flow.errors import Where


@dataclass(frozen=True, repr=False)
class HiddenText(Reference):
    """A text that is not printed. As data it is a reference to an environment variable named after its place."""

    text: str
    variable: str

    def resolve(self) -> str:
        return self.text

    def to_data(self) -> dict[str, Any]:
        return {"$secret": self.variable}

    def __repr__(self) -> str:
        return "***"


def hidden_text(text: str, where: Where) -> HiddenText:
    """``text``, from now on taken out of every text that is shown."""
    register_secret(text)
    return HiddenText(text, re.sub(r"[^A-Z0-9]+", "_", str(where).upper()).strip("_"))
