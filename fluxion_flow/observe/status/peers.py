"""Asking the other processes of a run for their status, over HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from .attention import attended
from .merge import merged

PATIENCE = 2.0
"""Seconds that a process has to answer."""


class NoStatus(Exception):
    """An address did not answer with a status; the message says why, without a token."""


def ask(address: str, token: str | None = None, path: str = "/status.json", patience: float = PATIENCE) -> Any:
    """The status that is told at ``address``, such as ``http://127.0.0.1:8080``. Raises :class:`NoStatus`."""
    headers = {"Accept": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    parts = urlsplit(address)
    shown = f"{parts.scheme}://{parts.hostname}:{parts.port}"
    try:
        request = urllib.request.Request(address.rstrip("/") + path, headers=headers)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=patience) as answer:
            found = json.load(answer)
    except urllib.error.HTTPError as error:
        why = "it wants a token" if error.code == 401 else f"HTTP {error.code}"
        raise NoStatus(f"{shown}: {why}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise NoStatus(f"{shown}: no status ({reason})") from None
    if not isinstance(found, dict) or "pipeline" not in found or "processes" not in found:
        raise NoStatus(f"{shown}: what answers there is no status page")
    return found


def whole(own: Callable[[], Mapping[str, Any]], process: int, addresses: Sequence[str], token: str | None) -> Any:
    """The status of all processes of a run, this one's without asking; a process without an answer is named as such."""
    others = [number for number in range(len(addresses)) if number != process]
    if not others:
        return attended(own())

    def other(number: int) -> Any:
        try:
            return ask(addresses[number], token)
        except NoStatus as error:
            return {"process": number, "of": len(addresses), "state": "no answer", "why": str(error)}

    with ThreadPoolExecutor(min(len(others), 16)) as pool:
        answers = list(pool.map(other, others))
    status = merged([own(), *(answer for answer in answers if "pipeline" in answer)])
    silent = [_silent(answer) for answer in answers if "pipeline" not in answer]
    return attended({**status, "processes": sorted([*status["processes"], *silent], key=lambda one: one["process"])})


def _silent(answer: Mapping[str, Any]) -> dict[str, Any]:
    nothing = {"host": "", "pid": 0, "started": 0, "workers": [], "store": "", "checkpoint": None}
    return {**nothing, "live": False, "ready": False, **answer}
