"""A run of per-document stages as one generated function over a batch, ended by a list or by a combine.

The fast path is :meth:`Program.run`: two tiers of generated source, the speculative one in front. A document that
raises ends the pass with a :class:`DocumentError` that says which document and which stage; :meth:`Program.resume`
goes on behind it, and :meth:`Program.step` runs the stages one by one, which is where error policies apply.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from ..errors import FluxionError, Where
from .environment import Environment
from .expressions.compile import annotated_source, build, origin
from .expressions.emit import MAX_LOOPS, Doc, Emitter, WholeNeeded
from .expressions.sample import Sample
from .expressions.tidy import tidied
from .rows import Rows
from .stages.shapes import Document, Keyed, PerDocument

Run = Callable[[Any, Any, Environment], None]

DISTRUST = 0.1
"""Share of documents that may leave the speculative tier before it stops paying (they break even at a tenth)."""

ENOUGH = 32
"""Documents that make a sample: what the speculative tier may expect of the others."""

PROBE_EVERY = 64
"""Batches between two tries of the speculative tier once it is distrusted."""


_TIERS = {
    "speculative": "the speculative tier: documents of the common shape; a sample of them tells what else to expect",
    "general": "the general tier: every document; one that the other tier cannot take is done by this one",
}


class DocumentError(FluxionError):
    """A stage failed on a document. ``cause`` is the error, ``index`` the document's place in the batch.

    ``where`` is the operator's place in the definition (``stages[1].$set.unit.$divide``), ``stage`` the stage's index
    within its program.
    """

    def __init__(self, index: int, where: Where, stage: int, cause: BaseException) -> None:
        self.index = index
        self.where = where
        self.stage = stage
        self.cause = cause
        super().__init__(f"{where}: {reason(cause)}")
        if hasattr(self, "add_note"):  # Python 3.11
            self.add_note(f"It was document {index} of its batch, counted from 0.")


def reason(error: BaseException) -> str:
    """What an error says, with its class where the text alone would not tell."""
    text = str(error)
    if isinstance(error, FluxionError):
        return text
    if isinstance(error, RecursionError):
        return "a value is nested too deep"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class RunEmitter(Emitter):
    """An emitter for runs of stages: it can drop the current document and multiply it, and counts both."""

    def __init__(
        self, speculative: bool, namespace: dict[str, Any], sample: Sample | None = None, combines: bool = False
    ) -> None:
        super().__init__(speculative, namespace, sample)
        self.stage = 0
        self.counted: set[int] = set()
        self.combines = combines
        self.passes = False
        """Whether documents come out as they came in, so that of a row it suffices to say which it is."""
        self.arrays: list[tuple[int, str]] = []
        """The stages that multiply the document, and what holds the array that each goes through."""

    def drop(self) -> None:
        """The current document goes no further."""
        self.change("-= 1")
        self.line("continue")

    def change(self, code: str) -> None:
        """Count documents that the current stage adds or takes away."""
        self.counted.add(self.stage)
        self.line(f"c{self.stage} {code}")

    def each(self, array: str, item: str, number: str = "") -> None:
        """Open a loop over the items of an array, with their numbers if asked; the stages behind stand in it.

        Where partial results are combined, the loop can be gone on with: the speculative tier goes through an iterator
        that knows how far it is, and the general tier leaves out the items that are done.
        """
        self.change(f"+= len({array}) - 1")
        first = self.combines and not self.arrays
        self.arrays.append((self.stage, array))
        start = ""
        if first and self.speculative:
            self.line(f"rest = iter({array})")
            array = "rest"
        elif first:
            array, start = f"({array}[done:] if done else {array})", ", done"
        self.loops += 1
        self.open(f"for {number}, {item} in enumerate({array}{start}):" if number else f"for {item} in {array}:")

    def gather(self) -> None:
        """Close the open loops: their documents go into a list, the next stages stand in one loop over it."""
        kept, item = self.temp("l"), self.temp("d")
        self.line(f"{kept}.append({self.materialize().code})")
        for _ in range(self.loops):
            self.close()
        self.lines.insert(0, "    " * self.indent + f"{kept} = []")
        self.origins.insert(0, self.where)
        self.loops = 1
        self.open(f"for {item} in {kept}:")
        self.set_document(Doc(item))


class Program:
    """Per-document stages, in order, compiled together; ``combine`` ends the run with a keyed stage's combine.

    A program is bound to nothing but its stages: it may serve several workers, but one at a time each
    (``trusted`` is a hint, not state that changes a result).
    """

    def __init__(
        self,
        stages: Sequence[PerDocument],
        combine: Keyed | None = None,
        *,
        pairs: bool = False,
        shares: bool = False,
    ) -> None:
        """``pairs``: what comes out are pairs, of a document and the index of the one that it came from.

        ``shares``: documents are not combined; what comes out is what each gives to its group, for a stage that folds.
        """
        self.stages = tuple(stages)
        self.combine = combine
        self._pairs = pairs
        self.shares = shares
        self._combines = combine is not None and not shares
        self.asks = any(stage.asks for stage in self.stages)
        """Whether documents may ask the outside; such a stage has a program of its own, in the general tier."""
        self.trusted = not self.asks
        self._sample: Sample | None = None
        self._batches = 0
        self._steps: dict[int, Program] = {}

    def __len__(self) -> int:
        return len(self.stages)

    @cached_property
    def general(self) -> Run:
        """The tier that handles everything."""
        return self._compile(speculative=False)

    @cached_property
    def speculative(self) -> Run:
        """The tier for documents like those of the sample; others fall back to the general one."""
        return self._compile(speculative=True)

    @cached_property
    def needs(self) -> tuple[str, ...] | None:
        """The top-level fields that are read of documents; ``None`` where the stages need whole ones."""
        if self.asks or self._pairs or not len(self) + (self.combine is not None) or self._must_restart:
            return None
        try:
            return tuple(self._body(True, {}).needs or ())
        except (WholeNeeded, RecursionError):
            return None

    @cached_property
    def _over_rows(self) -> Run | None:
        """The speculative tier over rows of the needed fields; ``None`` where they are not all that it reads."""
        try:
            return self._compile(True, {name: number for number, name in enumerate(self.needs or ())})
        except WholeNeeded:
            return None

    @cached_property
    def indexed(self) -> Program:
        """The same stages in a program that gives pairs."""
        return Program(self.stages, pairs=True)

    @cached_property
    def passes(self) -> bool:
        """Whether what comes out are some of the documents, just as they came in."""
        if self.asks or self._pairs or self.combine is not None:
            return False
        return self._body(speculative=False).passes

    @cached_property
    def sharing(self) -> Program:
        """The same stages in a program that gives the shares of documents in groups."""
        found = Program(self.stages, self.combine, shares=True)
        found.__dict__["needs"] = self.needs
        return found

    @property
    def keeps(self) -> bool:
        """Whether every document comes out, once."""
        return not self._shape[1]

    @property
    def multiplies(self) -> bool:
        """Whether a stage may make several documents of one."""
        return self._shape[0] > 0

    @cached_property
    def _shape(self) -> tuple[int, bool]:
        """How many stages multiply documents, and whether any adds documents or takes them away."""
        self._body(speculative=False)
        shape: tuple[int, bool] = self.__dict__["_shape"]
        return shape

    @cached_property
    def _must_restart(self) -> bool:
        """Whether a surprise spoils the result so far: what a document multiplied twice gave cannot be undone."""
        return self._combines and self._shape[0] > 1

    @property
    def accumulates(self) -> bool:
        """Whether several batches may be combined into one partial result."""
        return self.combine is not None and not self._must_restart

    def fresh(self) -> Any:
        """The result of no documents: a list, or with a combine the dict of partial results."""
        return {} if self._combines else []

    def _body(self, speculative: bool, needs: dict[str, int] | None = None) -> RunEmitter:
        """What is done with one document, written by an emitter; with ``needs``, with a row of fields."""
        e = RunEmitter(speculative, Emitter(False).namespace, self._sample, self._combines)
        e.needs = needs
        e.indent = 3 + speculative
        e.set_document(Doc("d"))
        for k, stage in enumerate(self.stages):
            e.stage = k
            with e.at(stage.where):
                if e.loops == MAX_LOOPS:
                    e.gather()
                e.asking = bool(stage.asks)
                stage.emit(e)
        if self.combine is not None:
            with e.at(self.combine.where):
                if self.shares:
                    self.combine.emit_share(e)
                else:
                    self.combine.emit_combine(e)
        elif self._pairs:
            e.line(f"append(({e.materialize().code}, env.index()))")
        else:
            e.passes = e.doc == Doc("d")
            e.line("append(n)" if e.passes and needs is not None else f"append({e.materialize().code})")
        self.__dict__["_shape"] = (len(e.arrays), bool(e.counted))
        return e

    def _compile(self, speculative: bool, needs: dict[str, int] | None = None) -> Run:
        known = len(needs or ())
        e = self._body(speculative, needs)
        if len(needs or ()) > known:
            raise WholeNeeded
        body, origins = e.lines, e.origins
        if speculative:
            body, places = tidied(body)
            origins = [origins[i] for i in places]
        e.lines, e.origins = [], []
        e.indent = 1
        counters = sorted(e.counted)
        for k in counters:
            e.line(f"c{k} = 0")
        e.line("get = out.get" if self._combines else "append = out.append")
        e.line("try:")
        e.indent = 2
        e.line("for n, d in enumerate(it):" if e.passes and needs is not None else "for d in it:")
        e.indent = 3
        if speculative:
            self._before(e, counters)
            e.line("try:")
        e.lines += body
        e.origins += origins
        e.indent = 3
        if speculative:
            e.line("except Exception:")
            e.indent = 4
            self._surprised(e, counters)
        e.indent = 1
        e.line("finally:")
        e.indent = 2
        for k in counters:
            e.line(f"env.changes[{k}] += c{k}")
        e.line("pass")
        return build("run", "it, out, env, done=0" if self._combines else "it, out, env", e)

    def _before(self, e: RunEmitter, counters: Sequence[int]) -> None:
        """Write what has to be remembered in case that a document surprises the speculative tier."""
        if self._must_restart or not e.arrays:
            return
        if self._combines:
            e.line("rest = None")
            return
        e.line("n = len(out)")
        for k in counters:
            e.line(f"s{k} = c{k}")

    def _surprised(self, e: RunEmitter, counters: Sequence[int]) -> None:
        """Write how a document is handed to the general tier: none of what it gave so far, or what it still has to."""
        if self._must_restart:
            e.line("raise")
            return
        e.namespace["general"] = lambda *arguments: self.general(*arguments)
        e.line("env.again()")
        if e.needs is not None:
            e.line("d = env.documents[env.index()]")
        if e.arrays and self._combines:
            (stage, array), *_ = e.arrays
            with e.block("if rest is not None:"):
                e.line(f"c{stage} -= len({array}) - 1")
                e.line(f"general((d,), out, env, len({array}) - rest.__length_hint__() - 1)")
                e.line("continue")
        elif e.arrays:
            e.line("del out[n:]")
            for k in counters:
                e.line(f"c{k} = s{k}")
        if e.passes and e.needs is not None:
            e.line("before = len(out)")
            e.line("general((d,), out, env)")
            e.line("if len(out) > before: out[before] = n")
            return
        e.line("general((d,), out, env)")

    def run(self, documents: Sequence[Document], env: Environment, into: Any = None) -> Any:
        """All documents through all stages: a list, or with a combine the dict of partial results.

        Of :class:`Rows`, a program that :attr:`passes` documents gives rows again, with the records that they came in.

        ``into``: the result of earlier batches to go on with, where :attr:`accumulates` allows it; a failure leaves it
        spoilt. Raises :class:`DocumentError` for the first document that a stage cannot take; without a
        combine, :meth:`resume` then goes on behind it (a program that asks the outside has tried them all by then).
        """
        if self.asks:
            return self._asked(documents, env)
        out: Any = self.fresh() if into is None else into
        self._batches += 1
        if self._sample is None and self.trusted and len(documents) >= ENOUGH:
            self._learn(documents)
        try_speculative = self.trusted or self._batches % PROBE_EVERY == 0
        if try_speculative and self._must_restart:
            try:
                self.speculative(env.start(documents, len(self.stages)), out, env)
            except Exception:  # noqa: BLE001 - whatever it was, the general tier says it properly
                self.trusted = self._learn(documents)
                out = {}
            else:
                self.trusted = True
                return out
            try_speculative = False
        env.surprises = 0
        records = documents if isinstance(documents, Rows) else None
        rows = records.rows if try_speculative and records is not None and records.fields == self.needs else ()
        over_rows = self._over_rows if rows else None
        if over_rows is not None:
            try:
                self._pass(env.start(documents, len(self.stages), rows), out, env, True, over_rows)
            except DocumentError as error:
                env.iterator = iter(documents[error.index + 1 :])  # whoever goes on does so with documents
                raise
        else:
            self._pass(env.start(documents, len(self.stages)), out, env, try_speculative)
        if try_speculative:
            self.trusted = env.surprises <= DISTRUST * len(documents) or self._learn(documents)
        if records is not None and self.passes:
            return records.taken(records.places_of(out) if over_rows is None else out)
        return out

    def _asked(self, documents: Sequence[Document], env: Environment) -> list[Document]:
        from .rounds import in_rounds, within_a_round

        if env.nested:
            return within_a_round(self, documents, env)
        found, _, failures = in_rounds(self, documents, env)
        if failures:
            raise failures[0]
        return found

    def _learn(self, documents: Sequence[Document]) -> bool:
        """Write the speculative tier anew for documents like these; answers whether they hold anything new."""
        if len(documents) < ENOUGH:
            return False
        first = self._sample is None
        self._sample = self._sample or Sample()
        if not (self._sample.learn(documents[:: len(documents) // ENOUGH][:ENOUGH]) or first):
            return False
        self.__dict__.pop("speculative", None)
        self.__dict__.pop("_over_rows", None)
        return True

    def resume(self, out: list[Document], env: Environment) -> None:
        """Go on behind the document that raised, adding to ``out``."""
        self._pass(env.iterator, out, env, self.trusted)

    def one(self, document: Document, out: Any, env: Environment) -> None:
        """One document through the general tier; ``env`` says which it is. Raises :class:`DocumentError`."""
        try:
            self.general((document,), out, env)
        except Exception as error:
            raise self.failure(env.index(), origin(error) or Where(), error) from error

    def _pass(self, iterator: Any, out: Any, env: Environment, speculative: bool, over_rows: Run | None = None) -> None:
        try:
            (over_rows or (self.speculative if speculative else self.general))(iterator, out, env)
        except DocumentError:
            raise
        except Exception as error:
            raise self.failure(env.index(), origin(error) or Where(), error) from error

    def failure(self, index: int, where: Where, error: BaseException) -> DocumentError:
        """The failure of the document at ``index``; where nothing is known of the place, it is the stage's."""
        where = where if where.parts or len(self.stages) != 1 else self.stages[0].where
        return DocumentError(index, where, self._stage_at(where), error)

    def _stage_at(self, where: Where) -> int:
        for k, stage in enumerate(self.stages):
            if where.parts[: len(stage.where.parts)] == stage.where.parts:
                return k
        return len(self.stages)

    def step(self, k: int) -> Program:
        """The program of stage ``k`` alone; ``len(program)`` is the combine alone."""
        if k not in self._steps:
            alone = k < len(self.stages)
            self._steps[k] = Program((self.stages[k],)) if alone else Program((), self.combine, shares=self.shares)
        return self._steps[k]

    def source(self) -> str:
        """The generated source of both tiers, for people to read."""
        tiers = [("general", self.general)]
        if self.stages or self.combine:
            tiers.insert(0, ("speculative", self.speculative))
        return "\n".join(f"# {_TIERS[name]}\n{annotated_source(run)}" for name, run in tiers)
