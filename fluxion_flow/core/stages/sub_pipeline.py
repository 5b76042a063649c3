"""$subPipeline: pipelines within a pipeline, by name or written out, one after another or side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import Where, did_you_mean
from ..environment import Environment
from ..expressions import kinds
from ..expressions.emit import Doc
from ..expressions.nodes import Node, constant_of
from ..expressions.parse import Parser
from ..values import MISSING, EvaluationError, type_name
from .inner import InnerPipeline, parse_inner
from .registry import stage
from .shapes import Document, PerDocument, Stage, Whole

if TYPE_CHECKING:
    from ..program import RunEmitter

MERGES = ("concat", "zip", "facet")
_OPTIONS = ("globals", "input", "onError")


class PipelineName(str):
    """The name of a registered pipeline as part of a path; its presence tells that the path leads through it."""

    __slots__ = ()


@dataclass(frozen=True)
class Child:
    """One pipeline within: what it runs, on what, with which ``$$name``s, and whether its failure is passed over."""

    pipeline: InnerPipeline
    variables: tuple[tuple[str, Node], ...]
    input: Node | None
    skip: bool

    @property
    def per_document(self) -> bool:
        return self.pipeline.per_document or self.input is not None

    @property
    def plain(self) -> bool:
        """Whether it is nothing but its stages."""
        return not self.variables and self.input is None and not self.skip

    def emit_arguments(self, e: RunEmitter) -> str:
        """Source of the values of the variables and of the input, for the current document."""
        values = [(name, e.value(node)) for name, node in self.variables]
        given = "{" + ", ".join(f"{name!r}: {atom.code}" for name, atom in values) + "}"
        return f"({given}, {'M' if self.input is None else e.value(self.input).code})"

    def run_for(
        self, document: Document, env: Environment, arguments: tuple[dict[str, Any], Any]
    ) -> list[Document] | None:
        """The documents that come out for one that goes in; ``None`` for a failure that is passed over."""
        variables, given = arguments
        documents = [document] if self.input is None else _documents(given)
        try:
            return self.pipeline.run_for(documents, _scope(env, variables))
        except Exception:
            if self.skip:
                return None
            raise

    def run(self, documents: list[Document], env: Environment) -> list[Document] | None:
        """The same for all documents at once."""
        variables = {name: constant_of(node) for name, node in self.variables}
        try:
            return self.pipeline.run(documents, _scope(env, variables))
        except Exception:
            if self.skip:
                return None
            raise


def _scope(env: Environment, variables: dict[str, Any]) -> Environment:
    if not variables:
        return env.within()
    shown = {name: value for name, value in variables.items() if value is not MISSING}
    return env.within({**variables, "GLOBALS": {**env.variables.get("GLOBALS", {}), **shown}})


def _documents(value: Any) -> list[Document]:
    if value is None or value is MISSING:
        return []
    documents: list[Document] = value if value.__class__ is list else [value]
    for item in documents:
        if item.__class__ is not dict:
            raise EvaluationError(f"the input of a pipeline must be documents, got {type_name(item)}")
    return documents


def merged(branches: Sequence[list[Document] | None], merge: str) -> list[Document]:
    """The documents of several branches in one list; a branch that was passed over has none."""
    lists = [documents or [] for documents in branches]
    if merge == "concat":
        return [document for documents in lists for document in documents]
    if merge == "facet":
        return [{f"branch{i}": list(documents) for i, documents in enumerate(lists)}]
    rows = range(max(map(len, lists), default=0))
    return [{name: v for documents in lists if i < len(documents) for name, v in documents[i].items()} for i in rows]


class Together:
    """Pipelines side by side, and how their documents come together; ``merge`` is ``""`` for a single one."""

    def __init__(self, children: tuple[Child, ...], merge: str) -> None:
        self.children = children
        self.merge = merge

    def run_for(self, document: Document, env: Environment, *arguments: tuple[dict[str, Any], Any]) -> list[Document]:
        """The documents that come out for one that goes in."""
        found = [child.run_for(document, env, given) for child, given in zip(self.children, arguments, strict=True)]
        if self.merge:
            return merged(found, self.merge)
        return [document] if found[0] is None else found[0]

    def run(self, documents: list[Document], env: Environment) -> list[Document]:
        """The same for all documents at once."""
        found = [child.run(list(documents), env) for child in self.children]
        if self.merge:
            return merged(found, self.merge)
        return documents if found[0] is None else found[0]


@dataclass(frozen=True, eq=False)
class StepPerDocument(PerDocument):
    together: Together

    def emit(self, e: RunEmitter) -> None:  # type: ignore[override]
        given = [child.emit_arguments(e) for child in self.together.children]
        document = e.materialize()
        run = e.bind(self.together.run_for, "sub_pipeline")
        found = e.assign(f"{run}({', '.join([document.code, 'env', *given])})", kinds.ARRAY, "a")
        item = e.temp("d")
        e.each(found.code, item)
        e.set_document(Doc(item))


@dataclass(frozen=True, eq=False)
class StepOverAll(Whole):
    together: Together

    def run(self, documents: list[Document], env: Environment) -> list[Document]:
        return self.together.run(documents, env)


def find_pipeline(reference: str, pipelines: Mapping[str, Any]) -> tuple[str, Any] | str:
    """The full name and the stages of a registered pipeline, or why there is none.

    ``name`` finds ``name`` itself or its only version, ``name@2`` and ``name@v2`` the version 2.
    """
    if reference in pipelines:
        return reference, pipelines[reference]
    name, at, version = reference.partition("@")
    versions = [known for known in pipelines if known.partition("@")[0] == name and "@" in known]
    if at:
        for known in versions:
            if known.partition("@")[2].removeprefix("v") == version.removeprefix("v"):
                return known, pipelines[known]
        return f"unknown pipeline {reference!r}"
    if len(versions) == 1:
        return versions[0], pipelines[versions[0]]
    return f"pipeline {name!r} has several versions" if versions else f"unknown pipeline {reference!r}"


def _named(reference: Any, where: Where, parser: Parser) -> InnerPipeline | None:
    if not isinstance(reference, str) or not reference:
        parser.problems.add(where, f"takes the name of a pipeline, got {reference!r}")
        return None
    known = parser.resources.pipelines
    found = find_pipeline(reference, known)
    if isinstance(found, str):
        versions = [n for n in known if n.partition("@")[0] == reference.partition("@")[0]]
        hint = "name one of " + ", ".join(versions) if versions else did_you_mean(reference, known)
        parser.problems.add(where, found, hint or "pass it in pipelines, or write its stages under pipeline")
        return None
    name, stages = found
    if any(isinstance(part, PipelineName) and part == name for part in where.parts):
        parser.problems.add(where, f"pipeline {name!r} runs itself", "break the circle")
        return None
    return parse_inner(stages, where / PipelineName(name), parser)


def _globals(spec: Any, where: Where, parser: Parser) -> tuple[tuple[str, Node], ...]:
    if not isinstance(spec, Mapping):
        parser.problems.add(where, f"takes an object of values by name, got {spec!r}")
        return ()
    found = []
    for name, value in spec.items():
        short = name[2:] if isinstance(name, str) and name.startswith("$$") else name
        if not isinstance(short, str) or not short.isidentifier():
            what = f"{name!r} cannot name a variable"
            parser.problems.add(where / str(name), what, "use letters, digits and _, with or without '$$'")
            continue
        found.append((short, parser.expression(value, where / name)))
    return tuple(found)


def _child(spec: Any, where: Where, parser: Parser) -> Child | None:
    """One entry: a name, ``{ref}`` or ``{pipeline}`` with options."""
    if isinstance(spec, str):
        pipeline = _named(spec, where, parser)
        return None if pipeline is None else Child(pipeline, (), None, False)
    if not isinstance(spec, Mapping) or ("ref" in spec) == ("pipeline" in spec):
        parser.problems.add(where, f"takes a name, {{ref: …}} or {{pipeline: […]}}, got {spec!r}")
        return None
    given = parser.arguments(spec, where, (), ("ref", "pipeline", *_OPTIONS))
    if given is None:
        return None
    before = len(parser.problems.found)
    variables = _globals(given["globals"], where / "globals", parser) if "globals" in given else ()
    scope = parser.with_variables("GLOBALS", *(name for name, _ in variables)) if variables else parser
    if "ref" in given:
        pipeline = _named(given["ref"], where / "ref", scope)
    else:
        pipeline = parse_inner(given["pipeline"], where / "pipeline", scope)
    source = parser.expression(given["input"], where / "input") if "input" in given else None
    on_error = given.get("onError", "bubble")
    if on_error not in ("skip", "bubble"):
        hint = did_you_mean(str(on_error), ("skip", "bubble"))
        parser.problems.add(where / "onError", f"takes 'skip' or 'bubble', got {on_error!r}", hint)
    if pipeline is None or len(parser.problems.found) > before:
        return None
    return Child(pipeline, variables, source, on_error == "skip")


def _check_globals(children: Sequence[Child], where: Where, parser: Parser) -> None:
    """Values that differ between documents make no sense for a pipeline that runs over all of them."""
    for child in children:
        for name, node in child.variables:
            if constant_of(node) is MISSING:
                what = f"'$${name}' differs between documents, but a pipeline here needs all documents"
                parser.problems.add(where, what, "give a constant")


def _step(spec: Any, where: Where, parser: Parser) -> list[Stage]:
    if isinstance(spec, Mapping) and "parallel" in spec:
        given = parser.arguments(spec, where, ("parallel",), ("merge",))
        if given is None:
            return []
        branches, merge = given["parallel"], given.get("merge", "concat")
        if merge not in MERGES:
            hint = did_you_mean(str(merge), MERGES) or "known are " + ", ".join(MERGES)
            parser.problems.add(where / "merge", f"unknown merge {merge!r}", hint)
        if not isinstance(branches, (list, tuple)) or not branches:
            parser.problems.add(where / "parallel", f"takes a list of pipelines, got {branches!r}")
            return []
        found = [_child(branch, where / "parallel" / i, parser) for i, branch in enumerate(branches)]
        children = tuple(child for child in found if child is not None)
    else:
        child = _child(spec, where, parser)
        if child is None:
            return []
        if child.plain:
            return list(child.pipeline.stages)
        children, merge = (child,), ""
    together = Together(children, merge)
    if all(child.per_document for child in children):
        return [StepPerDocument(where, together)]
    if any(child.input is not None for child in children):
        what = "input is taken for each document, but another pipeline here needs all documents"
        parser.problems.add(where, what, "run them in steps of their own")
    _check_globals(children, where, parser)
    return [StepOverAll(where, together)]


@stage(
    "$subPipeline",
    shape="per document, or as its pipelines",
    streaming="any source when all of its pipelines work on one document at a time; else as the stages in them",
    examples=[
        (
            [{"value": 10}, {"value": 5}],
            [{"pipeline": [{"$set": {"twice": {"$multiply": ["$value", 2]}}}]}],
            [{"value": 10, "twice": 20}, {"value": 5, "twice": 10}],
        ),
        (
            [{"v": 1}],
            [{"parallel": [{"pipeline": [{"$set": {"a": 1}}]}, {"pipeline": [{"$set": {"b": 2}}]}], "merge": "zip"}],
            [{"v": 1, "a": 1, "b": 2}],
        ),
        (
            [{"v": 1}],
            [{"parallel": [{"pipeline": [{"$set": {"a": 1}}]}, {"pipeline": []}], "merge": "facet"}],
            [{"branch0": [{"v": 1, "a": 1}], "branch1": [{"v": 1}]}],
        ),
    ],
)
def sub_pipeline(spec: Any, where: Where, parser: Parser) -> list[Stage] | None:
    """Run pipelines one after another: an entry is a ``name@version``, ``{ref: name}`` or ``{pipeline: stages}``.

    ``{parallel: [entries], merge}`` runs several on the same documents. ``concat`` puts their documents one behind the
    other, ``zip`` joins the fields of those at the same position (later branches win), ``facet`` makes one document of
    arrays ``branch0``, ``branch1`` …. Where every pipeline works on one document at a time, this happens for each
    document; else once for all documents. Options of an entry: ``globals``, values that it sees as ``$$name`` and in
    ``$$GLOBALS``; ``input``, an expression for the document or array of documents it runs on; ``onError``: ``bubble``
    or ``skip``, which passes over a pipeline that fails: its documents stay as they were, a branch has none.
    Fluxion: stage $subPipeline.
    """
    if not isinstance(spec, (list, tuple)) or not spec:
        parser.problems.add(where, f"takes a list of pipelines, got {spec!r}", 'such as ["cleanse", {"pipeline": []}]')
        return None
    before = len(parser.problems.found)
    stages = [stage for i, step in enumerate(spec) for stage in _step(step, where / i, parser)]
    return stages if len(parser.problems.found) == before else None
