"""How a pipeline runs, apart from what it does: :class:`StreamingRuntimeConfig`, and what a restart may change.

The values come from three places, the later ones win:

1. the pipeline's own ``config`` (``.config(...)`` of the builder, ``config:`` of a definition file);
2. the YAML or JSON file that the environment variable ``FLUXION_CONFIG`` names, with the same keys;
3. ``FLUXION_*`` variables, one a setting (``FLUXION_BATCH_SIZE``); see :data:`VARIABLES`.

Error policies are among them, so that a restart with ``FLUXION_ON_ERROR=skip_and_continue`` or
``FLUXION_STAGE_ON_ERROR__TOTALS='{retry: 5}'`` swaps one without touching the pipeline.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from fluxion_flow.connect.secrets import Reference, UnresolvedReference, interpolate, resolve
from fluxion_flow.dsl.alert_settings import AlertSettings
from fluxion_flow.dsl.connections import VARIABLE as CONNECTIONS_FILE
from fluxion_flow.dsl.files import NotReadable, read_data_file, read_yaml
from fluxion_flow.dsl.hidden import hidden_text
from fluxion_flow.errors import PipelineError, Problems, Where, did_you_mean
from fluxion_flow.policy.fields import FieldError, choice, duration, optional, read_fields, readers, reads, shown
from fluxion_flow.policy.model import Granularity, StreamingErrorPolicy
from fluxion_flow.policy.parse import CheckSink, parse_policy

Emit = Literal["update", "final"]
CONFIG = Where.at("config")
CONFIG_FILE = "FLUXION_CONFIG"
STAGE_PREFIX = "FLUXION_STAGE_ON_ERROR__"
SHORTEST_TOKEN = 12
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SECRET_SETTINGS = ("alerts", "status_token")
"""Settings that hold references until the run begins: their values are not printed."""

RESERVED_LABELS = frozenset({"pipeline", "connector", "environment", "worker"})
"""Labels that every metric has already."""


def _integer(at_least: int | None = None) -> Callable[[Any], int]:
    noun = "an integer" if at_least is None else f"an integer of at least {at_least}"

    def read(value: Any) -> int:
        found = value
        if isinstance(value, str) and re.fullmatch(r"\s*[-+]?\d{1,18}\s*", value):
            found = int(value)
        if isinstance(found, bool) or not isinstance(found, int) or (at_least is not None and found < at_least):
            raise FieldError(f"must be {noun}, got {shown(value)}")
        return found

    return read


def _yes_or_no(value: Any) -> bool:
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    found = value if isinstance(value, bool) else words.get(value.strip().lower()) if isinstance(value, str) else None
    if found is None:
        raise FieldError(f"must be true or false, got {shown(value)}")
    return found


_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def _size(value: Any) -> int:
    """Bytes from a number, or from ``"512 MB"``."""
    found = re.fullmatch(r"\s*(\d{1,18})\s*([A-Za-z]*)\s*", value) if isinstance(value, str) else None
    if found is not None and found[2].upper() in _UNITS:
        value = int(found[1]) * _UNITS[found[2].upper()]
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise FieldError(f"must be a size in bytes, got {shown(value)}", "such as 500000000, 500MB or 2GiB")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise FieldError(f"must be a text, got {shown(value)}")
    return value


def _port(value: Any) -> int:
    found = _integer(1)(value)
    if found > 65535:
        raise FieldError(f"must be a port from 1 to 65535, got {shown(value)}")
    return found


def _token(value: Any) -> Reference:
    """A secret; one that is written out is hidden from here on."""
    if isinstance(value, Reference):
        try:
            value.resolve()
        except UnresolvedReference as error:
            raise FieldError(error.what, error.hint) from None
        return value
    if not isinstance(value, str) or len(value) < SHORTEST_TOKEN:
        raise FieldError(f"must be a text of at least {SHORTEST_TOKEN} characters", "openssl rand -hex 16 makes one")
    return hidden_text(value, CONFIG / "status_token")


def _labels(value: Any) -> dict[str, str]:
    """Labels from a mapping, or from ``team=a,tier=b``."""
    if isinstance(value, str):
        pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
        if not all(sign for _, sign, _ in pairs):
            raise FieldError(f"must be labels such as team=a,tier=b, got {shown(value)}")
        value = {name.strip(): text.strip() for name, _, text in pairs}
    if not isinstance(value, Mapping):
        raise FieldError(f"must be a mapping of labels, such as {{team: a}}, got {shown(value)}")
    for name, text in value.items():
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name.startswith("__"):
            raise FieldError(f"{shown(name)} cannot be a label", "use letters, digits and '_'")
        if name in RESERVED_LABELS:
            raise FieldError(f"the label '{name}' is set by Fluxion Flow itself", "give it another name")
        if not isinstance(text, (str, int, float)):
            raise FieldError(f"the label '{name}' must be a text, got {shown(text)}")
    return {name: str(text).lower() if isinstance(text, bool) else str(text) for name, text in value.items()}


def _aliases(value: Any) -> dict[str, str]:
    """Old names and new ones from a mapping, or from ``group=totals,sink_a=sink_b``."""
    if isinstance(value, str):
        pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
        value = {old.strip(): new.strip() for old, _, new in pairs}
    if not isinstance(value, Mapping) or not all(isinstance(n, str) and n for pair in value.items() for n in pair):
        raise FieldError(f"must map old names of steps to new ones, got {shown(value)}", "such as {group: totals}")
    return dict(value)


def _names(value: Any) -> tuple[str, ...]:
    """Names from a list, or from ``group.n,group.most``."""
    if isinstance(value, str):
        value = [name.strip() for name in value.split(",") if name.strip()]
    if not isinstance(value, (list, tuple)) or not all(isinstance(name, str) for name in value):
        raise FieldError(f"must be a list of fields, got {shown(value)}", "such as [group.total]")
    return tuple(value)


def fold_name(name: str) -> str:
    """A stage's name as an environment variable holds it: ``line-totals`` is ``LINE_TOTALS``."""
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


@dataclass(frozen=True)
class PolicyOverrides:
    """Error policies that take the place of the pipeline's own, by scope.

    ``sink`` is for every sink. ``stages`` maps a stage's name, or its position as text (``"2"``), to a policy. What
    an overriding policy leaves open (dead-letter sink, granularity, budget) it has from the one that it replaces.
    """

    pipeline: StreamingErrorPolicy | None = None
    source: StreamingErrorPolicy | None = None
    sink: StreamingErrorPolicy | None = None
    stages: Mapping[str, StreamingErrorPolicy] = field(default_factory=dict)
    origins: Mapping[str, Where] = field(default_factory=dict, compare=False, repr=False)
    """Where each entry of ``stages`` was written, for the answer when there is no such stage."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", dict(self.stages))

    def __bool__(self) -> bool:
        return bool(self.pipeline or self.source or self.sink or self.stages)


@dataclass(frozen=True)
class StreamingRuntimeConfig:
    """How a pipeline runs.

    ``batch_size`` is in documents. ``emit``: what ``$group`` and its like send on, ``"update"`` (each changed group,
    after every batch) or ``"final"`` (each group once, at completion); ``None`` is ``"update"`` on an unbounded
    source and ``"final"`` on a bounded one. ``drain_timeout`` and ``flush_interval`` are in seconds (``"500ms"`` is
    accepted). ``state_partitions`` is how many parts the state of a keyed stage is split into. ``max_keys`` and
    ``max_bytes`` (``"2GB"`` is accepted) end the run when a step holds more state in one process. ``ttl``, in seconds
    of record time, forgets the keys that no record touches for so long. ``standby``: a run waits for a checkpoint
    store that another run holds, and takes over. ``state_aliases`` maps the names of steps in the checkpoint to their
    names now; ``start_empty`` lists the fields (``step.field``) that may begin empty where groups are stored without
    them. ``labels`` go with every metric, as does ``environment``. ``concurrency`` is how many enrichments of a batch
    are under way at a time. ``seed`` is for ``$rand`` and ``$sampleRate``. ``granularity`` is for error policies that
    name none.

    ``status_port`` has the run serve its health, its metrics and its status page, process *n* of several on the port
    behind by *n*; ``None``: not at all. It listens on ``status_host``; elsewhere than on loopback only with a
    ``status_token``, which whoever asks must have. A process is not live any more when a worker has made no progress
    for ``stalled_after`` seconds. ``alerts`` says when somebody is told, and who: see :mod:`fluxion_flow.dsl.alerts`.

    Raises :class:`PipelineError` with everything that is wrong.
    """

    batch_size: int = field(default=500, metadata=reads(_integer(1)))
    emit: Emit | None = field(default=None, metadata=reads(optional(choice("update", "final"))))
    drain_timeout: float = field(default=30.0, metadata=reads(duration()))
    flush_interval: float = field(default=1.0, metadata=reads(duration()))
    state_partitions: int = field(default=16, metadata=reads(_integer(1)))
    max_keys: int | None = field(default=None, metadata=reads(optional(_integer(1))))
    max_bytes: int | None = field(default=None, metadata=reads(optional(_size)))
    ttl: float | None = field(default=None, metadata=reads(optional(duration(zero=False))))
    standby: bool = field(default=False, metadata=reads(_yes_or_no))
    state_aliases: Mapping[str, str] = field(default_factory=dict, metadata=reads(_aliases))
    start_empty: tuple[str, ...] = field(default=(), metadata=reads(_names))
    labels: Mapping[str, str] = field(default_factory=dict, metadata=reads(_labels))
    environment: str = field(default="", metadata=reads(_text))
    concurrency: int = field(default=16, metadata=reads(_integer(1)))
    metrics: bool = field(default=True, metadata=reads(_yes_or_no))
    seed: int = field(default=0, metadata=reads(_integer()))
    granularity: Granularity | None = field(default=None, metadata=reads(optional(choice("batch", "document"))))
    status_port: int | None = field(default=None, metadata=reads(optional(_port)))
    status_host: str = field(default="127.0.0.1", metadata=reads(_text))
    status_token: Reference | str | None = field(default=None, repr=False, metadata=reads(optional(_token)))
    stalled_after: float = field(default=300.0, metadata=reads(duration(zero=False)))
    alerts: AlertSettings = field(default_factory=AlertSettings)
    on_error: PolicyOverrides = field(default_factory=PolicyOverrides)

    def __post_init__(self) -> None:
        read_fields(self, CONFIG)
        if not isinstance(self.alerts, AlertSettings):
            from fluxion_flow.dsl.alerts import read_alerts

            problems = Problems()
            alerts = read_alerts(self.alerts, CONFIG / "alerts", problems)
            problems.raise_if_any()
            object.__setattr__(self, "alerts", alerts)
        if not isinstance(self.on_error, PolicyOverrides):
            problems = Problems()
            found = read_overrides(self.on_error, lambda scope: _below(CONFIG / "on_error", scope), problems)
            problems.raise_if_any()
            object.__setattr__(self, "on_error", found)

    def changed(self) -> dict[str, Any]:
        """The settings that do not have their defaults, error policies apart."""
        default = StreamingRuntimeConfig()
        return {n: getattr(self, n) for n in readers(type(self)) if getattr(self, n) != getattr(default, n)}

    def resolved(
        self, environ: Mapping[str, str] | None = None, *, check_sink: CheckSink | None = None
    ) -> StreamingRuntimeConfig:
        """These settings, overridden by the file that ``FLUXION_CONFIG`` names, and then by ``FLUXION_*`` variables.

        ``environ`` is :data:`os.environ` unless given. ``check_sink`` is called with each dead-letter sink. Raises
        :class:`PipelineError` with every problem; each names the variable or the file it comes from.
        """
        environ = os.environ if environ is None else environ
        problems = Problems()
        config = self
        path = environ.get(CONFIG_FILE, "")
        if path:
            config = _overridden_by_file(config, path, problems, check_sink)
        config = _overridden_by_variables(config, environ, problems, check_sink)
        problems.raise_if_any()
        return config


SCOPES = ("pipeline", "source", "sink", "stages")
Place = Callable[[str], Where]
"""The path of a key, in the words of the place it comes from."""


def read_config(
    given: Any,
    place: Place,
    problems: Problems,
    *,
    base: StreamingRuntimeConfig | None = None,
    check_sink: CheckSink | None = None,
    whole: Where = CONFIG,
) -> StreamingRuntimeConfig:
    """``base`` (default: the defaults) with the settings of the mapping ``given`` in place of its own.

    Labels are added to those of ``base``, and error policies replace those of the same scope. Everything wrong goes
    to ``problems``: at ``place(key)``, or at ``whole`` when ``given`` is no mapping.
    """
    base = base or StreamingRuntimeConfig()
    if isinstance(given, StreamingRuntimeConfig):
        return given
    if given is None:
        return base
    if not isinstance(given, Mapping):
        problems.add(whole, f"must be a mapping of settings, got {shown(given)}", "such as {batch_size: 500}")
        return base
    known = readers(StreamingRuntimeConfig)
    found: dict[str, Any] = {}
    for key, value in given.items():
        if key == "alerts":
            from fluxion_flow.dsl.alerts import read_alerts

            found[key] = read_alerts(value, place("alerts"), problems)
        elif key == "on_error":
            overrides = read_overrides(value, lambda scope: _below(place("on_error"), scope), problems, check_sink)
            found[key] = _merged(base.on_error, overrides)
        elif key in known:
            try:
                found[key] = known[key](value)
            except FieldError as error:
                problems.add(place(key), error.what, error.hint)
        else:
            names = [*known, "alerts", "on_error"]
            hint = did_you_mean(str(key), names) or f"known are {', '.join(names)}"
            problems.add(place(str(key)), "unknown setting", hint)
    if "labels" in found:
        found["labels"] = {**base.labels, **found["labels"]}
    config = replace(base, **found)
    if config.status_port is not None and config.status_host not in LOOPBACK and config.status_token is None:
        hint = "give it a token, or listen on 127.0.0.1"
        problems.add(place("status_token"), f"required when the status page listens on {config.status_host!r}", hint)
    return config


def _below(where: Where, scope: str) -> Where:
    """The path of a scope's policy; the pipeline's own may stand without the word, as the whole of ``on_error``."""
    return where / scope if scope else where


def read_overrides(
    given: Any, place: Place, problems: Problems, check_sink: CheckSink | None = None
) -> PolicyOverrides:
    """The policies of ``on_error`` in a config: a mapping by scope, or one policy, which is the pipeline's.

    ``place`` gives the path of a scope, and of the whole for ``""``.
    """
    if isinstance(given, PolicyOverrides):
        return given
    if not isinstance(given, Mapping) or not set(given) & set(SCOPES):
        return PolicyOverrides(pipeline=parse_policy(given, place(""), problems, check_sink=check_sink))
    found: dict[str, StreamingErrorPolicy] = {}
    stages: dict[str, StreamingErrorPolicy] = {}
    origins: dict[str, Where] = {}
    for scope, spec in given.items():
        where = place(str(scope))
        if scope not in SCOPES:
            problems.add(where, "unknown scope of an error policy", did_you_mean(str(scope), SCOPES) or _SCOPES_TEXT)
        elif scope != "stages":
            found[scope] = parse_policy(spec, where, problems, check_sink=check_sink)
        elif isinstance(spec, Mapping):
            for name, policy in spec.items():
                origins[str(name)] = where / str(name)
                stages[str(name)] = parse_policy(policy, where / str(name), problems, check_sink=check_sink)
        else:
            problems.add(where, f"must map names of stages to error policies, got {shown(spec)}")
    return PolicyOverrides(**found, stages=stages, origins=origins)


_SCOPES_TEXT = f"known are {', '.join(SCOPES)}"


def replaced(policy: StreamingErrorPolicy | None, override: StreamingErrorPolicy | None) -> StreamingErrorPolicy | None:
    """``override`` in the place of ``policy``, with what it leaves open taken from there."""
    if policy is None or override is None:
        return policy if override is None else override
    return override.within(policy)


def _merged(first: PolicyOverrides, second: PolicyOverrides) -> PolicyOverrides:
    """Both; where both have a policy for a scope, the second one's."""
    return PolicyOverrides(
        pipeline=replaced(first.pipeline, second.pipeline),
        source=replaced(first.source, second.source),
        sink=replaced(first.sink, second.sink),
        stages={**first.stages, **{k: p.within(first.stages.get(k, p)) for k, p in second.stages.items()}},
        origins={**first.origins, **second.origins},
    )


def _overridden_by_file(
    config: StreamingRuntimeConfig, path: str, problems: Problems, check_sink: CheckSink | None
) -> StreamingRuntimeConfig:
    origin = f"config file {path}"
    try:
        given = read_data_file(path, Where.at(origin))
    except PipelineError as error:
        problems.found += error.problems
        return config
    found = Problems()
    given = interpolate(given, Where(), found)
    problems.found += [
        replace(p, where=Where((f"{origin}: {p.where.parts[0]}", *p.where.parts[1:]) if p.where.parts else (origin,)))
        for p in found
    ]
    return read_config(
        _with_values(given) if isinstance(given, Mapping) else given,
        lambda key: Where.at(f"{origin}: {key}"),
        problems,
        base=config,
        check_sink=check_sink,
        whole=Where.at(origin),
    )


def _with_values(given: Mapping[Any, Any]) -> dict[Any, Any]:
    """The settings with the values of their references, without those that have none; policies are read with theirs."""
    found = {}
    for key, value in given.items():
        try:
            found[key] = value if key in ("on_error", *SECRET_SETTINGS) else resolve(value)
        except UnresolvedReference:
            continue
    return found


_POLICY_VARIABLES = {
    "FLUXION_ON_ERROR": "pipeline",
    "FLUXION_SOURCE_ON_ERROR": "source",
    "FLUXION_SINK_ON_ERROR": "sink",
}

VARIABLES: dict[str, str] = {
    CONFIG_FILE: "a YAML or JSON file of settings",
    CONNECTIONS_FILE: "a YAML or JSON file of named connections",
    **{f"FLUXION_{name.upper()}": f"the setting {name}" for name in readers(StreamingRuntimeConfig)},
    **{name: f"the error policy of the {scope}" for name, scope in _POLICY_VARIABLES.items()},
    f"{STAGE_PREFIX}<NAME>": "the error policy of one stage",
}
"""Every environment variable that Fluxion Flow reads, with what it gives. Any other ``FLUXION_*`` is a mistake."""


def _overridden_by_variables(
    config: StreamingRuntimeConfig, environ: Mapping[str, str], problems: Problems, check_sink: CheckSink | None
) -> StreamingRuntimeConfig:
    settings: dict[str, Any] = {}
    policies: dict[str, StreamingErrorPolicy] = {}
    stages: dict[str, StreamingErrorPolicy] = {}
    origins: dict[str, Where] = {}
    for variable in sorted(name for name in environ if name.startswith("FLUXION_")):
        text, where = environ[variable], Where.at(variable)
        stage = variable.removeprefix(STAGE_PREFIX) if variable.startswith(STAGE_PREFIX) else ""
        if stage:
            if text.strip():
                stages[stage] = _policy_of(text, where, problems, check_sink)
                origins[stage] = where
        elif variable not in VARIABLES:
            problems.add(where, "unknown variable", did_you_mean(variable, VARIABLES) or "see the list of variables")
        elif not text.strip():
            continue
        elif variable in _POLICY_VARIABLES:
            policies[_POLICY_VARIABLES[variable]] = _policy_of(text, where, problems, check_sink)
        else:
            settings[variable.removeprefix("FLUXION_").lower()] = text
    known = readers(StreamingRuntimeConfig)
    settings = {name: text for name, text in settings.items() if name in known}
    config = read_config(settings, lambda key: Where.at(f"FLUXION_{key.upper()}"), problems, base=config)
    overrides = PolicyOverrides(**policies, stages=stages, origins=origins)
    return replace(config, on_error=_merged(config.on_error, overrides))


def _policy_of(text: str, where: Where, problems: Problems, check_sink: CheckSink | None) -> StreamingErrorPolicy:
    try:
        spec = interpolate(read_yaml(text), where, problems)
    except NotReadable as error:
        problems.add(where, str(error), "such as skip_and_continue or '{retry: {max_attempts: 5}}'")
        return StreamingErrorPolicy()
    return parse_policy(spec, where, problems, check_sink=check_sink)
