"""A source that asks an HTTP server again and again.

A *poll* is one or more pages. The items of a page are the list at ``items_pointer``. What the next request asks for
comes from the answer: a ``Link`` header with the relation ``next`` (it is followed at once), or a cursor, read from the
answer, from its last item, or from a header, and put into the query parameter ``cursor_param``. A cursor that changed
on a page with items is followed at once; then the source waits for ``interval``. A page whose cursor did not change is
the last: the next poll asks for it again and passes over the items that it held before.

The reader's cursor says which request the page at hand came from and how many of its items are done, so a restart asks
for that page again and passes over those. What a server answers to the same request later is up to the server.

Answers other than 2xx and 304 raise: with Retry-After in ``retry_after``, which the error policy waits for.
"""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec

from fluxion_connectors.http.client import new_client, request
from fluxion_connectors.http.failures import HttpRefused, HttpUnavailable, failure_of, place_of
from fluxion_connectors.http.links import next_page
from fluxion_connectors.http.pointer import NoSuchValue, found_at, parse_pointer, value_at
from fluxion_flow.connect.encoding import decode_document
from fluxion_flow.connect.spi import Batch, Cursor, Document, Reject, SourceReader, StreamingSource

PARTITION = "http"


class HttpPollingSource(StreamingSource):
    """One partition: the items that ``url`` answers with.

    ``cursor_start`` is the first request's cursor. A source that is ``bounded`` completes where it would wait.
    ``interval`` and ``timeout`` are in seconds. Raises :class:`ValueError` for a pointer that is none.
    """

    lag_unit = "seconds"

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        items_pointer: str = "",
        cursor_pointer: str | None = None,
        cursor_item_pointer: str | None = None,
        cursor_header: str | None = None,
        cursor_param: str = "cursor",
        cursor_start: Any = None,
        follow_links: bool = True,
        interval: float = 60.0,
        bounded: bool = False,
        timeout: float = 30.0,
        extended_json: bool = False,
        verify: bool = True,
        ca_file: str | None = None,
    ) -> None:
        self.url = url
        self.headers = {name: str(value) for name, value in (headers or {}).items()}
        self.params = dict(params or {})
        self.items = parse_pointer(items_pointer)
        self.cursor_in_answer = None if cursor_pointer is None else parse_pointer(cursor_pointer)
        self.cursor_in_item = None if cursor_item_pointer is None else parse_pointer(cursor_item_pointer)
        self.cursor_header = cursor_header
        self.cursor_param = cursor_param
        self.cursor_start = cursor_start
        self.follow_links = follow_links
        self.interval = interval
        self.poll_interval = min(interval, 0.5)
        self.bounded = bounded
        self.timeout = timeout
        self.extended_json = extended_json
        self.verify = verify
        self.ca_file = ca_file
        self.started = int(time.time() * 1000)

    def __repr__(self) -> str:
        return f"HttpPollingSource({place_of(self.url)})"

    def partitions(self) -> list[str]:
        return [PARTITION]

    def open(self, partition: str, cursor: Cursor | None) -> HttpPollingReader:
        return HttpPollingReader(self, partition, cursor)


class HttpPollingReader(SourceReader):
    """Reads page after page."""

    def __init__(self, source: HttpPollingSource, partition: str, cursor: Cursor | None) -> None:
        self._source = source
        self._partition = partition
        self._client = new_client(
            source.url,
            headers={"Accept": "application/json", **source.headers},
            timeout=source.timeout,
            connections=1,
            verify=source.verify,
            ca_file=source.ca_file,
        )
        state = cursor or {}
        self._page_url: str | None = state.get("page")
        self._place: Any = state.get("cursor", source.cursor_start)
        self._tags: dict[str, str] = dict(state.get("tags", {}))
        self._done: int = state.get("done", 0)
        self._count: int = state.get("count", 0)
        self._timestamp: int = state.get("timestamp", 0)
        self._started: int = state.get("started", source.started)
        self._items: list[Any] | None = None
        self._then: dict[str, Any] = {}
        self._wake = 0.0
        self._complete: bool = source.bounded and state.get("complete", False)
        self._answered = time.time()

    @property
    def cursor(self) -> dict[str, Any]:
        return {
            "v": 1,
            "page": self._page_url,
            "cursor": self._place,
            "tags": dict(self._tags),
            "done": self._done,
            "count": self._count,
            "timestamp": self._timestamp,
            "started": self._started,
            "complete": self._complete,
        }

    def read(self, max_documents: int) -> Batch | None:
        """Raises :class:`HttpUnavailable` or :class:`HttpRefused`; the next read asks for the same page again.

        An item that is no JSON object becomes a reject.
        """
        if self._items is None:
            if self._complete:
                return None
            if time.monotonic() < self._wake:
                return self._batch([], [], [])
            self._fetch()
            if self._items is None:
                return None if self._complete else self._batch([], [], [])
        items = self._items[self._done : self._done + max_documents]
        documents: list[Document] = []
        positions: list[int] = []
        rejects: list[Reject] = []
        for position, item in enumerate(items, self._count):
            try:
                documents.append(self._document(item))
                positions.append(position)
            except ValueError as error:
                rejects.append(Reject(json.dumps(item).encode(), position, str(error)))
        batch = self._batch(documents, positions, rejects)
        self._done += len(items)
        self._count += len(items)
        if self._done >= len(self._items):
            self._turn()
        return batch

    def _batch(self, documents: list[Document], positions: list[int], rejects: list[Reject]) -> Batch:
        return Batch(documents, self._partition, self._count, positions, self._timestamp, rejects)

    def _document(self, item: Any) -> Document:
        if self._source.extended_json or not isinstance(item, dict):
            return decode_document(json.dumps(item).encode(), self._source.extended_json)
        return item

    def _fetch(self) -> None:
        """Ask for the page that comes next. Nothing of the reader changes when that fails."""
        source = self._source
        params = {}
        if self._page_url is None:
            params = dict(source.params)
            if self._place is not None and self._reads_cursor:
                params[source.cursor_param] = self._place
        headers = self._conditions() if self._page_url is None else {}
        response = request(self._client, "GET", self._page_url or source.url, headers=headers, params=params)
        now = time.time()
        if response.status_code == 304:
            self._answered = now
            self._rest()
            return
        failure = failure_of(response)
        if failure is not None:
            raise failure
        items, then = self._understood(response)
        self._answered = now
        if self._done > len(items):
            self._done = 0  # another page than the one that was read so far
        if self._done in (0, len(items)):
            self._timestamp = self._started if source.bounded else int(now * 1000)
        self._items, self._then = items, then
        if self._done == len(items):
            self._turn()

    def _conditions(self) -> dict[str, str]:
        names = {"etag": "If-None-Match", "modified": "If-Modified-Since"}
        return {names[tag]: value for tag, value in self._tags.items()}

    def _understood(self, response: httpx.Response) -> tuple[list[Any], dict[str, Any]]:
        """The items of an answer, and what it says about the next request."""
        source = self._source
        where = f"GET {place_of(response.request.url)}"
        try:
            answer = json.loads(response.content) if response.content.strip() else []
        except ValueError as error:
            raise HttpUnavailable(f"{where}: the answer is not valid JSON ({error})") from None
        try:
            items = value_at(answer, source.items)
        except NoSuchValue:
            raise HttpRefused(f"{where}: the answer has nothing at items_pointer '{_text(source.items)}'") from None
        if items is None:
            items = []
        if isinstance(items, dict):
            items = [items]
        if not isinstance(items, list):
            raise HttpRefused(f"{where}: items_pointer '{_text(source.items)}' leads to no list or object")
        page = next_page(response.headers.get("link", "")) if source.follow_links else None
        tags = {"etag": response.headers.get("etag"), "modified": response.headers.get("last-modified")}
        then = {
            "page": None if page is None else self._own(response.request.url.join(page)),
            "cursor": self._cursor_in(response, answer, items),
            "tags": {name: value for name, value in tags.items() if value},
        }
        return items, then

    @property
    def _reads_cursor(self) -> bool:
        source = self._source
        started = source.cursor_start is not None
        return started or any((source.cursor_in_answer, source.cursor_in_item, source.cursor_header))

    def _cursor_in(self, response: httpx.Response, answer: Any, items: list[Any]) -> Any:
        source = self._source
        value: Any = None
        if source.cursor_header is not None:
            value = response.headers.get(source.cursor_header)
        elif source.cursor_in_answer is not None:
            value = found_at(answer, source.cursor_in_answer)
        elif source.cursor_in_item is not None and items:
            value = found_at(items[-1], source.cursor_in_item)
        if isinstance(value, (dict, list)):
            raise HttpRefused(f"GET {place_of(source.url)}: the answer's cursor is a {type(value).__name__}")
        return value if value != "" else None

    def _own(self, page: httpx.URL) -> str:
        """A page's URL; the headers, which may hold secrets, go to the configured server only."""
        own = httpx.URL(self._source.url)
        if (page.scheme, page.host, page.port) != (own.scheme, own.host, own.port):
            raise HttpRefused(f"GET {place_of(own)}: the next page is on another server, {place_of(page)}")
        return str(page)

    def _turn(self) -> None:
        """The page at hand is done: decide what comes next."""
        items, then = self._items or [], self._then
        self._items = None
        if self._page_url is None:
            self._tags = then["tags"]
        place = then["cursor"]
        moved = place is not None and place != self._place
        if moved:
            self._place, self._tags = place, {}
        # The last page of a cursor that does not move on is asked for again: what it held is passed over then.
        last = self._reads_cursor and not moved and self._page_url is None and then["page"] is None
        self._done = len(items) if last else 0
        self._page_url = then["page"]
        if self._page_url is None and not (moved and items):
            self._rest()

    def _rest(self) -> None:
        """The poll is over."""
        if self._source.bounded:
            self._complete = True
        self._wake = time.monotonic() + self._source.interval

    def lag(self) -> float | None:
        """The age of the cursor in seconds, where it is a date and time, else of the last answer; 0 at completion."""
        if self._complete:
            return 0.0
        moment = self._answered
        if isinstance(self._place, str):
            try:
                parsed = msgspec.convert(self._place, dt.datetime)
                moment = (parsed if parsed.tzinfo else parsed.replace(tzinfo=dt.timezone.utc)).timestamp()
            except ValueError:
                pass
        return max(time.time() - moment, 0.0)

    def close(self) -> None:
        self._client.close()


def _text(names: tuple[str, ...]) -> str:
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)
