"""One method for every stage, so that an editor completes ``.match(`` and ``.group(``.

They are written out, not made at run time, for the editor's sake; a test keeps them complete. A method's name is the
stage's in snake_case: ``$sortByCount`` is ``sort_by_count``.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, TypeVar

B = TypeVar("B", bound="StageMethods")


def method_name(stage: str) -> str:
    """The method of a stage: ``$sortByCount`` gives ``sort_by_count``."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", stage.removeprefix("$")).lower()


class StageMethods(ABC):
    """The methods that add a stage.

    Each takes the stage's specification as in MongoDB. ``name`` is for runtime overrides and metrics; ``on_error`` is
    an error policy for this stage alone, or one as data.
    """

    @abstractmethod
    def stage(self: B, operator: str, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """Add the stage ``operator``, such as ``"$match"``."""

    def add_fields(
        self: B, spec: Mapping[str, Any] | None = None, *, name: str | None = None, on_error: Any = None, **fields: Any
    ) -> B:
        """Another name of :meth:`set`. MongoDB: $addFields."""
        return self.stage("$addFields", _with_fields(spec, fields), name=name, on_error=on_error)

    def bucket(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """Group documents into the ranges between ``boundaries``. MongoDB: $bucket."""
        return self.stage("$bucket", spec, name=name, on_error=on_error)

    def bucket_auto(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """Group documents into a number of ranges that hold about equally many. MongoDB: $bucketAuto."""
        return self.stage("$bucketAuto", spec, name=name, on_error=on_error)

    def count(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """How many documents there are, in the field ``spec``; nothing when there are none. MongoDB: $count."""
        return self.stage("$count", spec, name=name, on_error=on_error)

    def dedupe(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """Drop documents whose key was seen a short time before. Fluxion: $dedupe."""
        return self.stage("$dedupe", spec, name=name, on_error=on_error)

    def densify(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """Add documents where a sequence of dates or numbers has gaps. MongoDB: $densify."""
        return self.stage("$densify", spec, name=name, on_error=on_error)

    def documents(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """Start from documents that stand in the stage itself. MongoDB: $documents."""
        return self.stage("$documents", spec, name=name, on_error=on_error)

    def facet(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """Run several lists of stages over the same documents, each into a field of one document. MongoDB: $facet."""
        return self.stage("$facet", spec, name=name, on_error=on_error)

    def fill(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """Give null and missing fields a value: a constant, the last one, or one in between. MongoDB: $fill."""
        return self.stage("$fill", spec, name=name, on_error=on_error)

    def graph_lookup(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """Follow references through a collection, and put what is reached into an array. MongoDB: $graphLookup."""
        return self.stage("$graphLookup", spec, name=name, on_error=on_error)

    def group(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """One document for every value of ``_id``, with accumulators over those that have it. MongoDB: $group."""
        return self.stage("$group", spec, name=name, on_error=on_error)

    def inverse_match(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """Pass on the documents whose own query matches a given document. DocumentDB: $inverseMatch."""
        return self.stage("$inverseMatch", spec, name=name, on_error=on_error)

    def limit(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """The first ``spec`` documents, in source order. MongoDB: $limit."""
        return self.stage("$limit", spec, name=name, on_error=on_error)

    def lookup(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """Put the matching documents of a collection into an array. MongoDB: $lookup."""
        return self.stage("$lookup", spec, name=name, on_error=on_error)

    def match(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """Pass on the documents that a query matches, drop the others. MongoDB: $match."""
        return self.stage("$match", spec, name=name, on_error=on_error)

    def project(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """Keep the named (``1``) and computed fields, or drop the named ones (``0``). MongoDB: $project."""
        return self.stage("$project", spec, name=name, on_error=on_error)

    def redact(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """Keep, prune or descend into each level of a document, as an expression says. MongoDB: $redact."""
        return self.stage("$redact", spec, name=name, on_error=on_error)

    def replace_root(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """Put ``newRoot``, an expression that gives a document, in the document's place. MongoDB: $replaceRoot."""
        return self.stage("$replaceRoot", spec, name=name, on_error=on_error)

    def replace_with(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """Put an expression that gives a document in the document's place. MongoDB: $replaceWith."""
        return self.stage("$replaceWith", spec, name=name, on_error=on_error)

    def sample(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """A number of documents, picked at random. MongoDB: $sample."""
        return self.stage("$sample", spec, name=name, on_error=on_error)

    def sample_rate(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """Pass each document on with a probability. MongoDB: $sampleRate."""
        return self.stage("$sampleRate", spec, name=name, on_error=on_error)

    def set(
        self: B, spec: Mapping[str, Any] | None = None, *, name: str | None = None, on_error: Any = None, **fields: Any
    ) -> B:
        """Add fields, or give them new values: a mapping, keywords, or both. MongoDB: $set."""
        return self.stage("$set", _with_fields(spec, fields), name=name, on_error=on_error)

    def set_window_fields(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """Add fields computed over a window of neighbouring documents. MongoDB: $setWindowFields."""
        return self.stage("$setWindowFields", spec, name=name, on_error=on_error)

    def skip(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """All but the first ``spec`` documents, in source order. MongoDB: $skip."""
        return self.stage("$skip", spec, name=name, on_error=on_error)

    def sort(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """Sort by fields, in BSON order. MongoDB: $sort."""
        return self.stage("$sort", spec, name=name, on_error=on_error)

    def sort_by_count(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """Count the documents for every value of an expression, most frequent first. MongoDB: $sortByCount."""
        return self.stage("$sortByCount", spec, name=name, on_error=on_error)

    def stream_join(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """Add an array of the documents of another stream that happened about the same time. Fluxion: $streamJoin."""
        return self.stage("$streamJoin", spec, name=name, on_error=on_error)

    def sub_pipeline(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """Run stages that have a name, or several lists of them."""
        return self.stage("$subPipeline", spec, name=name, on_error=on_error)

    def union_with(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """Add the documents of a collection, after stages of their own. MongoDB: $unionWith."""
        return self.stage("$unionWith", spec, name=name, on_error=on_error)

    def unset(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """Take away one field, or a list of them; dotted paths too. MongoDB: $unset."""
        return self.stage("$unset", spec, name=name, on_error=on_error)

    def unwind(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """One document for every item of the array at ``path``. MongoDB: $unwind."""
        return self.stage("$unwind", spec, name=name, on_error=on_error)

    def tumbling_window(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """Run a pipeline over the documents of each interval of time. Atlas Stream Processing: $tumblingWindow."""
        return self.stage("$tumblingWindow", spec, name=name, on_error=on_error)

    def hopping_window(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """Run a pipeline over windows that overlap, or leave gaps. Atlas Stream Processing: $hoppingWindow."""
        return self.stage("$hoppingWindow", spec, name=name, on_error=on_error)

    def session_window(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """Run a pipeline over each session of activity. Atlas Stream Processing: $sessionWindow."""
        return self.stage("$sessionWindow", spec, name=name, on_error=on_error)

    def validate(self: B, spec: Any, *, name: str | None = None, on_error: Any = None) -> B:
        """Let documents through that fit a schema or a query; the others fail."""
        return self.stage("$validate", spec, name=name, on_error=on_error)


def _with_fields(spec: Any, fields: Mapping[str, Any]) -> Any:
    """A mapping of fields with further ones; a specification that is no mapping stays, to be answered as such."""
    return {**(spec or {}), **fields} if spec is None or isinstance(spec, Mapping) else spec
