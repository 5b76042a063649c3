"""The alerts of a run, as its settings hold them; :mod:`~fluxion_flow.dsl.alerts` reads them where there are any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fluxion_flow.observe.alerts.rules import AlertRule
    from fluxion_flow.observe.alerts.targets import Target


@dataclass(frozen=True)
class AlertSettings:
    """The rules of a run and those who are told. Addresses and keys are references, which print no value."""

    rules: tuple[AlertRule, ...] = ()
    notify: tuple[Target, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.rules)

    def to_data(self) -> dict[str, Any]:
        """As a definition file holds it; references stay references."""
        from fluxion_flow.dsl.alerts import alerts_data

        return alerts_data(self)
