"""Arithmetic as Python writes it: ``price * (1 - discount)`` for nested $multiply and $subtract, behind one guard.

The guard asks whether all operands are plain numbers. An int beyond 64 bits is a double to MongoDB; where the result is
a double it is the same whether or not the int right before it has been made one, and where the result is an int that
int is looked at too. Everything else is done by the operators' functions, one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...errors import Where
from . import kinds
from .emit import Atom, Emitter
from .nodes import Call
from .registry import Operator

MOST = 8
"""Operands in one piece of source. The product of so many ints of 64 bits still has a double near it."""

INT64 = "-9223372036854775808 <= {0} <= 9223372036854775807"


@dataclass(frozen=True)
class Step:
    """An operator applied to atoms and to other steps."""

    operator: Operator
    where: Where
    parts: tuple[Atom | Step, ...]

    def operands(self) -> Iterator[Atom]:
        for part in self.parts:
            if isinstance(part, Step):
                yield from part.operands()
            else:
                yield part

    @property
    def kinds(self) -> int:
        """What a result of numbers can be."""
        if self.operator.symbol == "/" or any(p.kinds & (kinds.INT | kinds.FLOAT) == kinds.FLOAT for p in self.parts):
            return kinds.FLOAT
        if all(p.kinds & (kinds.INT | kinds.FLOAT) == kinds.INT for p in self.parts):
            return kinds.INT
        return kinds.INT | kinds.FLOAT

    @property
    def takes_no_dates(self) -> bool:
        """Whether a date as an operand would be an error."""
        if self.operator.symbol in "+-" and not (self.operator.symbol == "-" and _is_number(self.parts[0])):
            return False
        return all(part.takes_no_dates for part in self.parts if isinstance(part, Step))


def is_infix(call: Call) -> bool:
    """Whether Python has a symbol for a call."""
    return bool(call.operator.symbol) and len(call.arguments) >= 2


def steps_of(e: Emitter, call: Call) -> Step:
    """A call with the calls right below it, their other operands written."""
    return _steps(e, call, [MOST])


def _steps(e: Emitter, call: Call, room: list[int]) -> Step:
    parts: list[Atom | Step] = []
    room[0] -= len(call.arguments)
    for node in call.arguments:
        # a quotient of ints is rounded once, so the ints that go into it must fit before
        if isinstance(node, Call) and is_infix(node) and call.operator.symbol != "/" and room[0] >= len(node.arguments):
            room[0] += 1
            parts.append(_steps(e, node, room))
        else:
            parts.append(e.narrowed(e.value(node)))
    return Step(call.operator, call.where, tuple(parts))


def write(e: Emitter, step: Step) -> Atom:
    """Write a step; the atom holds its value."""
    every = list(step.operands())
    operands = list(dict.fromkeys(every))
    if len(every) > MOST or not all(a.may_be(kinds.INT | kinds.FLOAT) for a in operands):
        return _slow(e, step)
    guards = [g for g in map(e.plain_number, operands) if g]
    guards += [f"{a.code} != 0" for a in _divisors(step) if not _is_number(a) or float(a.code.strip("()")) == 0]
    if not guards:
        return _fast(e, step, e.temp())
    if e.speculative and step.takes_no_dates:
        for guard in guards:
            e.line(f"if not {guard}: raise {e.surprise}")
        e.know_numbers(operands)
        return _fast(e, step, e.temp())
    name = e.temp()
    with e.block(f"if {' and '.join(guards)}:"):
        _fast(e, step, name)
    with e.block("else:"):
        e.line(f"{name} = {_slow(e, step).code}")
    return Atom(name, step.operator.returns)


def _divisors(step: Step) -> Iterator[Atom]:
    for i, part in enumerate(step.parts):
        if isinstance(part, Step):
            yield from _divisors(part)
        elif i > 0 and step.operator.symbol == "/":
            yield part


def _fast(e: Emitter, step: Step, name: str) -> Atom:
    """``name = …`` in infix notation, for plain numbers."""
    code, between = _infix(e, step)
    _checked(e, step, name, code, between)
    return Atom(name, step.kinds)


def _checked(e: Emitter, step: Step, name: str, code: str, between: Sequence[str]) -> None:
    """Keep the value of ``code``; where it is an int and one beyond 64 bits is in it, call the functions instead."""
    e.line(f"{name} = {code}")
    if step.kinds & kinds.INT:
        whole = " and ".join(INT64.format(code) for code in (name, *between))
        test = f"not {whole}" if not between else f"not ({whole})"
        maybe = "" if step.kinds == kinds.INT else f"{name}.__class__ is int and "
        e.line(f"if {maybe}{test}: {name} = {_call(e, step)}")


def _infix(e: Emitter, step: Step) -> tuple[str, list[str]]:
    """Source of a step without its check, and the names in it of ints that still have to be looked at."""
    code, between = _operand(e, step.parts[0])
    for i in range(1, len(step.parts)):
        right, more = _operand(e, step.parts[i])
        code, between = f"{code} {step.operator.symbol} {right}", between + more
        if i < len(step.parts) - 1:
            code, between = _kept(e, Step(step.operator, step.where, step.parts[: i + 1]), code, between)
    return code, between


def _operand(e: Emitter, part: Atom | Step) -> tuple[str, list[str]]:
    return (part.code, []) if isinstance(part, Atom) else _kept(e, part, *_infix(e, part))


def _kept(e: Emitter, step: Step, code: str, between: list[str]) -> tuple[str, list[str]]:
    """A step as an operand. What it holds of ints is looked at with the next result, or here: a double at the end tells
    nothing of ints two steps before."""
    if not step.kinds & kinds.INT:
        return f"({code})", []
    name = e.temp("t")
    if between:
        _checked(e, step, name, code, between)
        return name, []
    return f"({name} := {code})", [name]


def _call(e: Emitter, step: Step) -> str:
    """Source of a step as calls of functions within each other."""
    codes = [part.code if isinstance(part, Atom) else _call(e, part) for part in step.parts]
    return f"{e.bind(step.operator.function, step.operator.name[1:])}({', '.join(codes)})"


def _slow(e: Emitter, step: Step) -> Atom:
    """A step as calls of functions, each in a line that knows its place."""
    with e.at(step.where):
        codes = [part.code if isinstance(part, Atom) else _slow(e, part).code for part in step.parts]
        function = e.bind(step.operator.function, step.operator.name[1:])
        return e.assign(f"{function}({', '.join(codes)})", step.operator.returns)


def _is_number(part: Atom | Step) -> bool:
    """Whether an operand is a number that stands in the definition."""
    return isinstance(part, Atom) and (part.code[:1].isdigit() or part.code.startswith("(-"))
