"""How a run comes by the engine: each worker of a stream has one, and so has an offline run."""

from __future__ import annotations

from fluxion_flow.core.outside import Outside, opens_outside
from fluxion_flow.core.resources import Resources
from fluxion_flow.enrich.desk import Desk, Tell
from fluxion_flow.enrich.record import Record


@opens_outside
def open_desk(resources: Resources, tell: Tell | None, record: Record | None) -> Outside:
    """A desk of one worker."""
    return Desk(tell=tell, record=record)
