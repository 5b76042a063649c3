"""``$lookup`` in a collection of an HTTP server: one request for the values of a batch, or one for all documents."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fluxion_flow.core.outside import Asker
from fluxion_flow.core.stages.collections import FieldIndex
from fluxion_flow.core.stages.external import ALL, ExternalCollection, Loaded
from fluxion_flow.enrich.asking import Enrichment
from fluxion_flow.enrich.extract import extracted
from fluxion_flow.enrich.failures import CallRefused, UnreadableAnswer
from fluxion_flow.enrich.http import HttpClient, HttpRequest, HttpTarget
from fluxion_flow.enrich.lookup_keys import key_of
from fluxion_flow.enrich.templates import value_text


class HttpCollection(ExternalCollection):
    """Documents that a server gives for values of a query parameter; without one, all of them."""

    def __init__(
        self,
        target: HttpTarget,
        path: str,
        param: str | None,
        repeat: bool,
        items: tuple[str, ...],
        headers: tuple[tuple[str, str], ...],
        size: int,
        shared: dict[str, Any],
    ) -> None:
        self.empty = bool(shared.pop("empty"))
        self.whole = param is None
        self._made: dict[str, Any] = {"name": "$lookup", "target": target, **shared}
        self._served: dict[str, Any] = {"path": path, "param": param, "repeat": repeat, "items": items}
        self._served |= {"headers": headers, "size": size}

    def asker(self, field: tuple[str, ...]) -> Asker:
        identity = ("collection", *self._served.values(), field)
        return CollectionAsker(**self._made, identity=identity, **self._served, field=field)


@dataclass(frozen=True, eq=False, kw_only=True)
class CollectionAsker(Enrichment):
    """Asks a server for the documents with a value in ``field``, or for all."""

    target: HttpTarget
    path: str
    param: str | None
    repeat: bool
    items: tuple[str, ...]
    headers: tuple[tuple[str, str], ...]
    size: int
    field: tuple[str, ...]

    @property
    def merge(self) -> int:
        return 1 if self.param is None else self.size

    def question(self, values: tuple[Any, ...]) -> Hashable:
        return key_of(values[0]) if values else ALL

    def near(self, what: Any, memory: dict[Any, Any]) -> Any:
        if what != ALL and what[0] in ("nothing", "null", "nan", "bytes"):
            return []
        if what != ALL and "," in str(what[1]) and not self.repeat:
            raise CallRefused(f"{self.title}: the value holds a comma, which parts the values of '{self.param}'")
        raise LookupError

    def perform(self, client: HttpClient, what: Any) -> Any:
        if what == ALL:
            return Loaded(self._documents(client, ""))
        return self.perform_many(client, [what])[0]

    def perform_many(self, client: HttpClient, whats: Sequence[Any]) -> list[Any]:
        assert self.param is not None
        texts = [value_text(value, self.title) for _, value in whats]
        pairs = [(self.param, text) for text in texts] if self.repeat else [(self.param, ",".join(texts))]
        documents = self._documents(client, urlencode(pairs, safe=","))
        index = FieldIndex(documents, self.field)
        return [[documents[i] for i in index.find([value])] for _, value in whats]

    def _documents(self, client: HttpClient, query: str) -> list[dict[str, Any]]:
        url = client.address(self.path)
        if query:
            url += ("&" if "?" in url else "?") + query
        answer = client.request(HttpRequest("GET", url, self.headers), self.settings)
        found = extracted(answer, self.items)
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            place = "/" + "/".join(self.items) if self.items else "the answer"
            raise UnreadableAnswer(f"{self.title}: {place} is no array of objects; say where they are with items")
        return found
