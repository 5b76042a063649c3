"""Error policies as data, as ``on_error`` of a definition holds them, and back.

==============================================  ============================================================
data                                            meaning
==============================================  ============================================================
``fail_fast``                                   end the run (``fail``, ``failFast`` too)
``skip_and_continue``                           drop what failed (``skip``, ``skipAndContinue`` too)
``{dead_letter: {type: kafka, topic: t}}``      write it to that sink; ``dead_letter``: to the outer scope's
``{dead_letter_sink: {...}}``                   the sink for inner scopes, beside another action
``{retry: 5}``, ``{retry: {max_attempts: 5}}``  try again; the fields of :class:`Retry`
``{retry: 5, then: {dead_letter: ...}}``        what to do when the attempts have run out
``{circuit_breaker: {...}}``                    the fields of :class:`CircuitBreaker`, and ``enabled``
``{budget: {percent: 5, within: 10m}}``         the fields of :class:`FailureBudget`
``{granularity: document}``                     what is given up: the document, or the whole batch
==============================================  ============================================================

Names may be in camelCase, as on Fluxion's resilience page, and durations in milliseconds with ``Ms`` at the end of
the name. ``waitDurationMs`` is that page's fixed wait: with it, ``multiplier`` is 1 and ``jitter`` is ``none`` unless
they are given.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from fluxion_flow.connect.secrets import UnresolvedReference, holds_reference, redact, resolve, to_data
from fluxion_flow.errors import PipelineError, Problem, Problems, Where, did_you_mean
from fluxion_flow.policy.builder import PolicyBuilder
from fluxion_flow.policy.fields import FieldError, Reader, attempts, field_meant, number, readers, shown
from fluxion_flow.policy.matching import class_name
from fluxion_flow.policy.model import (
    LIMITS,
    NO_LIMIT,
    ONE_RETRY,
    SECOND_RETRY,
    Action,
    CircuitBreaker,
    FailureBudget,
    Retry,
    StreamingErrorPolicy,
)

CheckSink = Callable[[Any, Where, Problems], None]
"""Checks a dead-letter sink's definition: adds what is wrong to the problems."""

ACTIONS: dict[str, Action] = {
    "fail_fast": "fail",
    "fail": "fail",
    "failFast": "fail",
    "skip_and_continue": "skip",
    "skip": "skip",
    "skipAndContinue": "skip",
    "dead_letter": "dead_letter",
    "deadLetter": "dead_letter",
}
KEYS = (
    *("retry", "then", "fail_fast", "skip_and_continue", "dead_letter"),
    *("circuit_breaker", "budget", "granularity", "dead_letter_sink"),
)

RETRY_ALSO = {"wait_duration": "backoff"}
BREAKER_ALSO = {
    "permitted_number_of_calls_in_half_open_state": "permitted_calls_in_half_open_state",
    "record_exceptions": "record",
    "ignore_exceptions": "ignore",
}
_EXAMPLE = "such as fail_fast, skip_and_continue, {retry: 5} or {dead_letter: {...}}"


def parse_policy(
    spec: Any, where: Where, problems: Problems, *, check_sink: CheckSink | None = None
) -> StreamingErrorPolicy:
    """The policy that ``spec`` holds as data; a policy object is returned as it is.

    Everything wrong is added to ``problems`` at its path below ``where``; the policy returned then is whatever could
    be made of the rest. ``check_sink`` is called with each dead-letter sink and its path.
    """
    return _parse(spec, where, problems, check_sink, follows_retry=False)


def _parse(
    spec: Any, where: Where, problems: Problems, check_sink: CheckSink | None, *, follows_retry: bool
) -> StreamingErrorPolicy:
    if isinstance(spec, StreamingErrorPolicy):
        if follows_retry and spec.retries is not None:
            problems.add(where, SECOND_RETRY, ONE_RETRY)
        elif check_sink is not None and isinstance(spec.dead_letter_sink, Mapping):
            check_sink(spec.dead_letter_sink, where / "dead_letter", problems)
        return spec
    if isinstance(spec, PolicyBuilder):
        try:
            return _parse(spec.build(), where, problems, check_sink, follows_retry=follows_retry)
        except PipelineError as error:
            problems.found += [Problem(Where((*where.parts, *p.where.parts)), p.what, p.hint) for p in error.problems]
            return StreamingErrorPolicy()
    if not isinstance(spec, Mapping) and holds_reference(spec):
        spec = _resolved(spec, where, problems)
        if spec is None:
            return StreamingErrorPolicy()
    if isinstance(spec, str):
        return _named(spec, where, problems)
    if not isinstance(spec, Mapping) or not spec:
        problems.add(where, f"must be an error policy, got {_shown(spec)}", _EXAMPLE)
        return StreamingErrorPolicy()
    return _Mapping(where, problems, check_sink, follows_retry).read(spec)


def _named(name: str, where: Where, problems: Problems) -> StreamingErrorPolicy:
    if name in ACTIONS:
        return StreamingErrorPolicy(action=ACTIONS[name])
    if name == "retry":
        problems.add(where, "'retry' does not say how often", "write {retry: 5} for 5 attempts in all")
    else:
        hint = did_you_mean(name, ACTIONS)
        problems.add(where, f"unknown error policy {shown(redact(name))}", hint or _EXAMPLE)
    return StreamingErrorPolicy()


class _Mapping:
    """Reads one policy from a mapping, key by key, in the order in which they were written."""

    def __init__(self, where: Where, problems: Problems, check_sink: CheckSink | None, follows_retry: bool) -> None:
        self.where = where
        self.problems = problems
        self.check_sink = check_sink
        self.follows_retry = follows_retry
        self.fields: dict[str, Any] = {}
        self.action_key: str | None = None
        self.following: StreamingErrorPolicy | None = None

    def read(self, spec: Mapping[Any, Any]) -> StreamingErrorPolicy:
        for key, value in spec.items():
            self._read_key(str(key), value, self.where / str(key))
        if "then" in spec and not self.follows_retry:
            self._check_then(spec)
        policy = StreamingErrorPolicy(**self.fields)
        return policy if self.following is None else policy.then(self.following)

    def _read_key(self, key: str, value: Any, where: Where) -> None:
        if key in ACTIONS:
            self._action(key, value, where)
        elif key == "retry":
            self.fields["retries"] = self._retry(value, where)
        elif key == "then" and self.follows_retry:
            self.problems.add(where, "a then cannot follow a then", "keep one")
        elif key == "then":
            following = _parse(value, where, self.problems, self.check_sink, follows_retry=True)
            self.following = dataclasses.replace(following, retries=None)
        elif key in ("circuit_breaker", "circuitBreaker"):
            self.fields["breaker"] = self._breaker(value, where)
        elif key == "budget":
            self.fields["budget"] = self._budget(value, where)
        elif key in ("dead_letter_sink", "deadLetterSink"):
            self._sink(value, where)
        elif key == "granularity":
            self.fields["granularity"] = self._read(readers(StreamingErrorPolicy)["granularity"], value, where)
        else:
            hint = did_you_mean(key, KEYS) or f"known are {', '.join(KEYS)}"
            self.problems.add(where, "unknown part of an error policy", hint)

    def _check_then(self, spec: Mapping[Any, Any]) -> None:
        if "retry" not in spec:
            self.problems.add(
                self.where / "then", "nothing comes before it", "add retry, or write its content without then"
            )
        if self.action_key is not None:
            self.problems.add(
                self.where / self.action_key,
                "given beside then, which says what happens finally",
                "keep one of the two",
            )

    def _action(self, key: str, value: Any, where: Where) -> None:
        if self.action_key is not None:
            self.problems.add(where, f"given beside {self.action_key}", "keep one final action")
            return
        self.action_key = key
        self.fields["action"] = ACTIONS[key]
        if ACTIONS[key] == "dead_letter":
            self._sink(value, where)
        elif value not in (None, True) and value != {}:
            self.problems.add(where, f"takes no options, got {_shown(value)}", f"write {{{key}: {{}}}}")

    def _sink(self, value: Any, where: Where) -> None:
        if value is None or value is True or value == {}:
            return
        if "dead_letter_sink" in self.fields:
            self.problems.add(where, "the sink is given twice", "keep one of dead_letter and dead_letter_sink")
            return
        if value is False or isinstance(value, (str, int, float, list)):
            self.problems.add(where, f"must be a sink, got {_shown(value)}", "such as {type: files, path: dead.jsonl}")
            return
        if isinstance(value, Mapping) and self.check_sink is not None:
            self.check_sink(value, where, self.problems)
        self.fields["dead_letter_sink"] = value

    def _retry(self, value: Any, where: Where) -> Retry | None:
        if self.follows_retry:
            self.problems.add(where, SECOND_RETRY, ONE_RETRY)
            return None
        if isinstance(value, Retry):
            return value
        if not isinstance(value, Mapping):
            return Retry(max_attempts=self._read(_given_attempts, value, where))
        found = self._fields(Retry, value, where, RETRY_ALSO, {"max_attempts": _given_attempts})
        if not any(field_meant(str(key), Retry, RETRY_ALSO) == ("max_attempts", False) for key in value):
            hint = "say how many attempts in all, the first included"
            self.problems.add(where / "max_attempts", "required by retry", hint)
        if any(str(key) in ("waitDurationMs", "wait_duration_ms") for key in value):
            found = {"multiplier": 1.0, "jitter": "none", **found}
        return Retry(**{"max_attempts": 1, **found})

    def _breaker(self, value: Any, where: Where) -> CircuitBreaker | None:
        if value is None or value is True or isinstance(value, CircuitBreaker):
            return value if isinstance(value, CircuitBreaker) else CircuitBreaker()
        if value is False:
            return None
        if not isinstance(value, Mapping):
            self.problems.add(where, f"must be a mapping, got {_shown(value)}", "such as {failure_rate_threshold: 50}")
            return None
        found = self._fields(CircuitBreaker, value, where, BREAKER_ALSO, {"enabled": _yes_or_no})
        enabled = found.pop("enabled", True)
        return CircuitBreaker(**found) if enabled else None

    def _budget(self, value: Any, where: Where) -> FailureBudget | None:
        if isinstance(value, FailureBudget):
            return value
        if not isinstance(value, Mapping):
            hint = "such as {percent: 5, failures: 100, within: 10m}"
            self.problems.add(where, f"must be a mapping, got {_shown(value)}", hint)
            return None
        found = self._fields(FailureBudget, value, where, {}, {})
        if found.get("percent") is None and found.get("failures") is None:
            if not any(field_meant(str(key), FailureBudget, {}) in _LIMIT_FIELDS for key in value):
                self.problems.add(where, NO_LIMIT, LIMITS)
            return None
        return FailureBudget(**found)

    def _fields(
        self, cls: type, given: Mapping[Any, Any], where: Where, also: Mapping[str, str], own: Mapping[str, Reader]
    ) -> dict[str, Any]:
        """The fields of ``cls`` that are given and right, read. All others are added to the problems.

        ``own`` holds readers that differ from the fields'.
        """
        found: dict[str, Any] = {}
        spelled: dict[str, str] = {}
        reader_of = {**readers(cls), **own}
        for key, value in given.items():
            place = where / str(key)
            meant = (key, False) if key in own else field_meant(str(key), cls, also)
            if meant is None:
                hint = did_you_mean(str(key), reader_of) or f"known are {', '.join(reader_of)}"
                self.problems.add(place, f"unknown field of {where.parts[-1]}", hint)
                continue
            name, milliseconds = meant
            if name in spelled:
                self.problems.add(place, f"says the same as {spelled[name]}", "keep one")
                continue
            spelled[name] = str(key)
            before = len(self.problems.found)
            read = self._read(_milliseconds(reader_of[name]) if milliseconds else reader_of[name], value, place)
            if len(self.problems.found) == before:
                found[name] = read
        return found

    def _read(self, reader: Callable[[Any], Any], value: Any, where: Where) -> Any:
        """What ``reader`` makes of ``value``, or ``None`` after adding to the problems what is wrong with it."""
        before = len(self.problems.found)
        value = _resolved(value, where, self.problems)
        if len(self.problems.found) > before:
            return None
        try:
            return reader(value)
        except FieldError as error:
            self.problems.add(where, redact(error.what), error.hint)
            return None


_LIMIT_FIELDS = (("percent", False), ("failures", False))


def _milliseconds(read_seconds: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A reader of milliseconds for a field that holds seconds."""

    def read(value: Any) -> Any:
        try:
            milliseconds = number(0)(value)
        except FieldError:
            raise FieldError(f"must be a number of milliseconds from 0 up, got {shown(value)}") from None
        return read_seconds(milliseconds / 1000)

    return read


def _given_attempts(value: Any) -> int | None:
    """As the field reads it, but a null is a mistake: without a limit there must be the word."""
    if value is None:
        raise FieldError("must be a whole number from 1 up, or unlimited, got null")
    return attempts(value)


def _yes_or_no(value: Any) -> bool:
    found = {"true": True, "false": False}.get(str(value).lower())
    if found is None:
        raise FieldError(f"must be true or false, got {shown(value)}")
    return found


def _resolved(value: Any, where: Where, problems: Problems) -> Any:
    """``value`` with the references in it replaced by their values."""
    if not holds_reference(value):
        return value
    try:
        return resolve(value)
    except UnresolvedReference as error:
        problems.add(where, error.what, error.hint)
        return None


def _shown(value: Any) -> str:
    """A value in an error's text. A mapping's content is not shown, because it may hold what must not be."""
    if isinstance(value, Mapping):
        return "a mapping" if value else "an empty mapping"
    return redact(shown(value))


ON_ERROR = Where.at("on_error")


def policy_to_dict(policy: StreamingErrorPolicy, where: Where = ON_ERROR) -> dict[str, Any]:
    """The policy as data: :func:`parse_policy` gives an equal one back. Fields that have their defaults are left out.

    Exception classes become their names. Raises :class:`PipelineError` for what data cannot hold: callbacks, and a
    dead-letter sink that is a Python object.
    """
    problems = Problems()
    if policy.callbacks:
        problems.add(where, "has callbacks, which data cannot hold", "add them in Python")
    sink = policy.dead_letter_sink
    if sink is not None and not isinstance(sink, Mapping):
        problems.add(where, "its dead-letter sink is a Python object", "give the sink as a mapping")
    problems.raise_if_any()
    final: dict[str, Any] = {}
    if policy.action == "dead_letter":
        final = {"dead_letter": {} if sink is None else to_data(sink)}
    elif policy.action == "skip":
        final = {"skip_and_continue": {}}
    data: dict[str, Any] = {}
    if policy.retries is not None:
        data["retry"] = _changed(policy.retries)
        if policy.retries.max_attempts is None:
            data["retry"]["max_attempts"] = "unlimited"
        data |= {"then": final} if final else {}
    else:
        data |= final
    if sink is not None and policy.action != "dead_letter":
        data["dead_letter_sink"] = to_data(sink)
    if policy.breaker is not None:
        data["circuit_breaker"] = _changed(policy.breaker)
    if policy.budget is not None:
        data["budget"] = _changed(policy.budget)
    if policy.granularity is not None:
        data["granularity"] = policy.granularity
    if policy.action == "fail" and policy.retries is None:
        data = {"fail_fast": {}, **data}
    return data


def _changed(part: Retry | CircuitBreaker | FailureBudget) -> dict[str, Any]:
    """The fields of ``part`` that do not have their default, as data."""
    data: dict[str, Any] = {}
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if value != field.default:
            data[field.name] = [class_name(entry) for entry in value] if isinstance(value, tuple) else value
    return data
