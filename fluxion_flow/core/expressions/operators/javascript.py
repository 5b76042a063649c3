"""JavaScript function bodies in a sandbox: no files, no network, limited time and memory.

The engine is QuickJS, through the package ``quickjs`` of the extra ``fluxion-flow[js]``. Values cross as JSON; dates
become JavaScript dates and back, whole numbers of 32 bits stay ints, other numbers come back as doubles.
"""

from __future__ import annotations

import importlib.util
import json
import math
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from ...values import INT32_MAX, INT32_MIN, EvaluationError, from_millis, to_millis, type_name
from .conversions import double_text

SECONDS: Final = 2.0
"""Processor time that one call may take."""

MEMORY: Final = 32 * 1024 * 1024
"""Bytes that a function may hold."""

INSTALL: Final = 'pip install "fluxion-flow[js]"'

_PRELUDE: Final = """
const call = (function () {
  "use strict";
  const parse = JSON.parse, write = JSON.stringify, keys = Object.keys;
  Date.prototype.toJSON = function () { return {$date: this.getTime()}; };
  function read(name, value) {
    if (value && typeof value === "object") {
      const names = keys(value);
      if (names.length === 1 && names[0] === "$date") return new Date(value.$date);
      if (names.length === 1 && names[0] === "$number") return Number(value.$number);
    }
    return value;
  }
  function tell(name, value) {
    return typeof value === "number" && !isFinite(value) ? {$number: String(value)} : value;
  }
  const body = (%s);
  if (typeof body !== "function") throw new TypeError("the body is not a function");
  return function (text) {
    const value = body(...parse(text, read));
    return write(value === undefined ? null : value, tell);
  };
})();
Object.freeze(globalThis);
call;
"""


def available() -> bool:
    """Whether the engine is installed."""
    return importlib.util.find_spec("quickjs") is not None


def check(body: str) -> str:
    """What is wrong with a function body, ``""`` when nothing is."""
    try:
        _context(body)
    except EvaluationError as error:
        return str(error)
    return ""


def _context(body: str) -> Callable[[str], str]:
    import quickjs

    context = quickjs.Context()
    context.set_memory_limit(MEMORY)
    context.set_time_limit(SECONDS)
    try:
        function: Callable[[str], str] = context.eval(_PRELUDE % body)
    except quickjs.JSException as error:
        raise EvaluationError(f"the JavaScript body cannot be used: {_first_line(error)}") from None
    return function


def _first_line(error: Exception) -> str:
    text = str(error).strip().split("\n")[0]
    if text in ("", "null") or "out of memory" in text:
        return f"it takes more than {MEMORY // 1024 // 1024} MiB of memory"
    return f"it takes more than {SECONDS:g} seconds" if "interrupted" in text else text


def function_of(body: str) -> Callable[..., Any]:
    """A JavaScript function as a Python one. An engine belongs to one thread, so each thread gets its own."""
    engines: dict[int, Callable[[str], str]] = {}

    def run(*arguments: Any) -> Any:
        thread = threading.get_ident()
        engine = engines.get(thread)
        if engine is None:
            engine = engines[thread] = _context(body)
        try:
            answer = engine(json.dumps([_outward(a) for a in arguments]))
        except EvaluationError:
            raise
        except Exception as error:  # noqa: BLE001 - the engine's exceptions are known only where it is installed
            engines.pop(thread, None)
            raise EvaluationError(f"$function failed in JavaScript: {_first_line(error)}") from None
        return json.loads(answer, object_hook=_inward, parse_int=_whole)

    return run


def _outward(value: Any) -> Any:
    """A value as JSON for the engine. Raises :class:`EvaluationError` for what JavaScript has no like of."""
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$number": double_text(value)}
    if isinstance(value, list):
        return [_outward(item) for item in value]
    if isinstance(value, dict):
        return {name: _outward(item) for name, item in value.items()}
    if isinstance(value, datetime):
        return {"$date": to_millis(value)}
    raise EvaluationError(f"$function cannot pass a value of type {type_name(value)} to JavaScript")


def _inward(value: dict[str, Any]) -> Any:
    if len(value) == 1:
        if "$date" in value and isinstance(value["$date"], (int, float)):
            return from_millis(value["$date"])
        if "$number" in value:
            return float(value["$number"])
    return value


def _whole(digits: str) -> int | float:
    number = int(digits)
    return number if INT32_MIN <= number <= INT32_MAX else float(number)
