"""What whoever speaks HTTP needs, connectors and enrichments alike: headers, and which answers to try again after."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from fluxion_flow.connect.secrets import register_secret

USER_AGENT = "fluxion-flow"
RETRIED = (408, 421, 425, 429, 500, 502, 503, 504, 507, 520, 521, 522, 523, 524)
"""Statuses after which the same request may succeed (RFC 9110, section 15; RFC 6585)."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SECRET = re.compile(r"auth|cookie|key|token|secret|password|signature", re.IGNORECASE)


def is_header_name(name: str) -> bool:
    """Whether HTTP allows such a header name (RFC 9110, section 5.1)."""
    return bool(_TOKEN.fullmatch(name))


def register_secret_headers(headers: Mapping[str, str]) -> None:
    """Have the redactor know the values of the headers whose names say that they are secret."""
    for name, value in headers.items():
        if _SECRET.search(name):
            register_secret(value)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a Retry-After header asks to wait (RFC 9110, section 10.2.3); ``None`` without a good one.

    The names of ``headers`` are looked up whatever their case, as httpx's are.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return None
