"""A stand-in for the expression compiler: enough to build accumulators and to evaluate their fields."""

from __future__ import annotations

import types

import pytest

from fluxion_flow.core.accumulators import build_accumulator
from fluxion_flow.core.values import MISSING
from fluxion_flow.errors import PipelineError, Problems, Where


class FieldParser:
    """Expressions are functions of the document: ``"$a.b"``, literals, objects and arrays of them."""

    def __init__(self, problems, functions=None):
        self.problems = problems
        self.resources = types.SimpleNamespace(functions=functions or {})

    def expression(self, spec, where):
        if isinstance(spec, str) and spec.startswith("$"):
            return lambda document: _field(document, spec[1:].split("."))
        if isinstance(spec, dict):
            fields = {name: self.expression(item, where / name) for name, item in spec.items()}
            return lambda document: {name: value for name, f in fields.items() if (value := f(document)) is not MISSING}
        if isinstance(spec, list):
            items = [self.expression(item, where / i) for i, item in enumerate(spec)]
            return lambda document: [None if (value := f(document)) is MISSING else value for f in items]
        return lambda document: spec

    def key_expression(self, spec, where):
        return self.expression(spec, where)

    def constant(self, spec, where):
        if isinstance(spec, str) and spec.startswith("$"):
            self.problems.add(where, "must be a constant")
            return MISSING
        return spec


def _field(document, path):
    for name in path:
        if not isinstance(document, dict) or name not in document:
            return MISSING
        document = document[name]
    return document


@pytest.fixture(scope="session")
def build():
    """Build an accumulator: ``build(spec)`` → the accumulator and a function from a document to its value."""

    def build(spec, functions=None):
        problems = Problems()
        built = build_accumulator(spec, Where.at("group", "x"), FieldParser(problems, functions), problems)
        if built is None:
            assert problems, "nothing was built, and no reason given"
            raise PipelineError(problems)
        found, nodes = built

        def value_of(document):
            values = tuple(node(document) for node in nodes)
            return values if len(values) > 1 else values[0] if values else MISSING

        return found, value_of

    return build


@pytest.fixture(scope="session")
def run(build):
    """The result of an accumulator over documents, added one by one."""

    def run(documents, spec, functions=None):
        found, value_of = build(spec, functions)
        state = found.zero()
        for document in documents:
            state = found.add(state, value_of(document))
        return found.result(state)

    return run


@pytest.fixture(scope="session")
def bits():
    """A value as text that shows every bit of it: types, signs of zeros, digits of decimals, order of fields."""

    def bits(value):
        if isinstance(value, dict):
            return "{" + ", ".join(f"{k!r}: {bits(v)}" for k, v in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(bits, value)) + "]"
        return f"{type(value).__name__} {value!r}"

    return bits
