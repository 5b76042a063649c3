"""Values taken at run time, from the environment or a secret file, and never printed.

Three kinds of reference stand in a definition where a value will be:

=======================  =====================================  ==============================================
in Python                as data                                value
=======================  =====================================  ==============================================
``env("NAME")``          ``{"$env": "NAME"}``                   environment variable ``NAME``
``secret("NAME")``       ``{"$secret": "NAME"}``                the same, registered as secret when it is read
``secret(file="/x")``    ``{"$secret": {"file": "/x"}}``        the text of a file, without its last line break
``Template("a-${NAME}")``  ``"a-${NAME}"``                      the string with its references filled in
=======================  =====================================  ==============================================

Inside a string of a loaded definition ``${NAME}`` and ``${NAME:-default}`` (used when ``NAME`` is unset or empty, as in
a shell) are references, ``${secret:NAME}`` is a secret one, and ``$${`` is a literal ``${``. MongoDB's field paths
(``$a``, ``$$ROOT``) have no brace and are never touched.

``str`` and ``repr`` of a reference show its name only. :func:`redact` takes registered secrets out of a text.
"""

from __future__ import annotations

import json
import os
import re
import threading
import urllib.parse
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fluxion_flow.errors import FluxionError, Problems, Where


class UnresolvedReference(FluxionError):
    """A reference has no value here. ``what`` says why, ``hint`` what to do; neither holds a value."""

    def __init__(self, what: str, hint: str) -> None:
        self.what = what
        self.hint = hint
        super().__init__(f"{what}; {hint}")


class Reference(ABC):
    """A value that is looked up when the pipeline runs. Immutable and comparable; prints its name, not its value."""

    @abstractmethod
    def resolve(self) -> str:
        """The value, now. Raises :class:`UnresolvedReference`."""

    @abstractmethod
    def to_data(self) -> Any:
        """The reference as a definition file holds it."""

    def __str__(self) -> str:
        return repr(self)


@dataclass(frozen=True, repr=False)
class EnvReference(Reference):
    """The value of an environment variable; ``default`` where it is unset."""

    name: str
    default: str | None = None

    def resolve(self) -> str:
        value = os.environ.get(self.name, self.default)
        if value is None:
            raise UnresolvedReference(
                f"environment variable {self.name} is not set", f"export it or write ${{{self.name}:-default}}"
            )
        return value

    def to_data(self) -> dict[str, Any]:
        if self.default is None:
            return {"$env": self.name}
        return {"$env": {"name": self.name, "default": self.default}}

    def __repr__(self) -> str:
        return f"env({self.name!r})"


@dataclass(frozen=True, repr=False)
class SecretReference(Reference):
    """A secret in an environment variable (``name``) or in a ``file``. Reading it registers it with the redactor."""

    name: str | None = None
    file: str | None = None

    def resolve(self) -> str:
        if self.file is not None:
            value = self._read(self.file)
        else:
            found = os.environ.get(self.name or "")
            if found is None:
                raise UnresolvedReference(
                    f"secret {self.name} is not set",
                    f"export the environment variable {self.name} or use secret(file=...)",
                )
            value = found
        register_secret(value)
        return value

    def _read(self, path: str) -> str:
        try:
            with open(path, encoding="utf-8") as file:
                return file.read().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise UnresolvedReference(
                f"secret file {path!r} cannot be read ({reason})", "mount it or correct the path"
            ) from None

    def to_data(self) -> dict[str, Any]:
        return {"$secret": {"file": self.file} if self.file is not None else self.name}

    def __repr__(self) -> str:
        return f"secret(file={self.file!r})" if self.file is not None else f"secret({self.name!r})"


@dataclass(frozen=True, repr=False)
class Template(Reference):
    """A string with ``${NAME}`` references in it, kept as it was written."""

    text: str

    def resolve(self) -> str:
        return _PIECE.sub(_resolve_piece, self.text)

    def to_data(self) -> str:
        return self.text

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Template({self.text!r})"


def env(name: str, default: str | None = None) -> EnvReference:
    """The environment variable ``name``, read when the pipeline runs; ``default`` where it is unset."""
    return EnvReference(name, default)


def secret(name: str | None = None, *, file: str | None = None) -> SecretReference:
    """A secret, read when the pipeline runs: the environment variable ``name`` or the text of ``file``.

    Raises :class:`TypeError` unless exactly one of the two is given.
    """
    if (name is None) == (file is None):
        raise TypeError("secret() takes the name of an environment variable or file=..., not both")
    return SecretReference(name, file)


# `$${` | `${NAME}` `${NAME:-default}` `${secret:NAME}` | a `${` that is none of these
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_PIECE = re.compile(
    r"(?P<escape>\$\$\{)"
    rf"|\$\{{(?:(?P<secret>secret:)(?P<secret_name>{_NAME})|(?P<name>{_NAME})(?P<default>:-[^}}]*)?)\}}"
    r"|(?P<malformed>\$\{[^}]*\}?)"
)


def _resolve_piece(piece: re.Match[str]) -> str:
    if piece["escape"]:
        return "${"
    if piece["secret"]:
        return SecretReference(piece["secret_name"]).resolve()
    if piece["malformed"]:
        raise UnresolvedReference(
            f"malformed reference {piece['malformed']!r}",
            "write ${NAME} or ${NAME:-default}, or $${ for a literal ${",
        )
    value = os.environ.get(piece["name"])
    if piece["default"] is not None:
        return value or piece["default"][2:]
    return EnvReference(piece["name"]).resolve() if value is None else value


def interpolate(value: Any, where: Where, problems: Problems, *, unset: bool = True) -> Any:
    """``value`` (of a loaded definition) with every reference in it as a :class:`Reference` object, however deep.

    Strings with ``${...}`` become a :class:`Template`, ``{"$env": ...}`` and ``{"$secret": ...}`` become what
    :func:`env` and :func:`secret` give; everything else stays. References that are malformed are added to ``problems``,
    and with ``unset`` those that have no value now.
    """
    try:
        return _interpolate(value, where, problems, unset)
    except RecursionError:
        problems.add(where, "is nested too deeply", "split it into named parts")
        return value


def _interpolate(value: Any, where: Where, problems: Problems, unset: bool) -> Any:
    if isinstance(value, str):
        if "${" not in value:
            return value
        template = Template(value)
        references = [piece for piece in _PIECE.finditer(value) if not piece["escape"]]
        for piece in references:
            if not (unset or piece["malformed"]):
                continue
            try:
                _resolve_piece(piece)
            except UnresolvedReference as error:
                problems.add(where, error.what, error.hint)
        return template if references else template.resolve()
    if isinstance(value, Mapping):
        if len(value) == 1 and next(iter(value)) in ("$env", "$secret"):
            reference = _reference_from_data(value, where, problems)
            try:
                if unset:
                    resolve(reference)
            except UnresolvedReference as error:
                problems.add(where, error.what, error.hint)
            return reference
        return {key: _interpolate(item, where / str(key), problems, unset) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_interpolate(item, where / position, problems, unset) for position, item in enumerate(value)]
    return value


def _reference_from_data(data: Mapping[str, Any], where: Where, problems: Problems) -> Reference | None:
    ((kind, content),) = data.items()
    if isinstance(content, str) and content:
        return EnvReference(content) if kind == "$env" else SecretReference(content)
    if isinstance(content, Mapping) and all(isinstance(item, str) for item in content.values()):
        if kind == "$env" and "name" in content and set(content) <= {"name", "default"}:
            return EnvReference(content["name"], content.get("default"))
        if kind == "$secret" and set(content) == {"file"}:
            return SecretReference(file=content["file"])
    form = '{"$env": "NAME"}' if kind == "$env" else '{"$secret": "NAME"} or {"$secret": {"file": "/path"}}'
    problems.add(where, f"malformed {kind} reference", f"write {form}")
    return None


def to_data(value: Any) -> Any:
    """``value`` as a definition file holds it: references in their data form, literal ``${`` escaped as ``$${``.

    ``interpolate(to_data(value))`` is ``value`` again.
    """
    if isinstance(value, Reference):
        return value.to_data()
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, Mapping):
        return {key: to_data(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_data(item) for item in value]
    return value


def resolve(value: Any) -> Any:
    """``value`` with every reference in it replaced by its value of this moment, however deep.

    Raises :class:`UnresolvedReference`.
    """
    if isinstance(value, Reference):
        return value.resolve()
    if isinstance(value, Mapping):
        return {key: resolve(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [resolve(item) for item in value]
    return value


def holds_reference(value: Any) -> bool:
    """Whether ``value`` is a reference or holds one, however deep."""
    if isinstance(value, Mapping):
        return any(map(holds_reference, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(holds_reference, value))
    return isinstance(value, Reference)


_SHORTEST_SECRET = 4
_URL_PASSWORD = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*://[^\s/:@'\"]*:)[^\s/'\"]+@")
_registered: set[str] = set()
_registered_forms: re.Pattern[str] | None = None
_lock = threading.Lock()


def register_secret(value: str) -> None:
    """Have :func:`redact` take ``value`` out of every text from now on. Values under 4 characters are left alone."""
    global _registered_forms
    if len(value) < _SHORTEST_SECRET:
        return
    with _lock:
        forms = {value, urllib.parse.quote(value, safe=""), urllib.parse.quote_plus(value), urllib.parse.quote(value)}
        forms |= {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1]}
        if forms <= _registered:
            return
        _registered.update(forms)
        longest_first = sorted(_registered, key=len, reverse=True)
        _registered_forms = re.compile("|".join(map(re.escape, longest_first)))


def redact(text: str) -> str:
    """``text`` with every registered secret (plain, URL-encoded, quoted) and every password in a URL as ``***``."""
    if _registered_forms is not None:
        text = _registered_forms.sub("***", text)
    return _URL_PASSWORD.sub(r"\1***@", text) if "://" in text else text
