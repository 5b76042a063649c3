"""Reading arrays and taking them apart: $arrayElemAt $first $last $slice $size $in … (MongoDB: array operators)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...ordering import canonical, equal
from ...values import INT32_MAX, MISSING, EvaluationError, is_nullish, type_name
from .. import kinds
from ..emit import Atom, Emitter
from ..registry import operator
from .comparison import nin
from .whole_numbers import whole_number

LONGEST_RANGE = 6_500_000
"""More numbers than this $range refuses to make."""

ELEMENT = kinds.ANY


def an_array(operator_name: str, value: Any, role: str = "an array") -> list[Any]:
    """``value`` itself when it is an array; raises :class:`EvaluationError` otherwise."""
    if value.__class__ is not list:
        raise EvaluationError(f"{operator_name} takes {role}, got {type_name(value)}")
    return value


@operator(
    "$isArray",
    returns=kinds.BOOL,
    examples=[({"a": [1]}, {"$isArray": "$a"}, True), ({"a": 1}, {"$isArray": ["$a"]}, False)],
)
def is_array(value: Any) -> bool:
    """Whether a value is an array. MongoDB: $isArray."""
    return value.__class__ is list


@is_array.inline
def _is_array(e: Emitter, atoms: list[Atom]) -> Atom | None:
    (a,) = atoms
    return e.assign(f"{a.code}.__class__ is list", kinds.BOOL) if a.may_be(kinds.ARRAY) else None


@operator(
    "$size",
    returns=kinds.INT,
    examples=[({"a": [1, 2]}, {"$size": "$a"}, 2), ({}, {"$size": "$a"}, EvaluationError)],
)
def size(array: Any) -> int:
    """The number of items in an array.

    Raises for anything that is not an array, null and missing too. MongoDB: $size.
    """
    return len(an_array("$size", array))


@size.inline
def _size(e: Emitter, atoms: list[Atom]) -> Atom | None:
    (a,) = atoms
    if not a.may_be(kinds.ARRAY):
        return None
    if a.is_only(kinds.ARRAY):
        return e.assign(f"len({a.code})", kinds.INT)
    slow = f"{e.bind(size.function, 'size')}({a.code})"
    return e.assign(f"len({a.code}) if {a.code}.__class__ is list else {slow}", kinds.INT)


@operator(
    "$arrayElemAt",
    examples=[
        ({"a": [1, 2, 3]}, {"$arrayElemAt": ["$a", -1]}, 3),
        ({"a": [1, 2, 3]}, {"$arrayElemAt": ["$a", 7]}, MISSING),
        ({}, {"$arrayElemAt": ["$a", 0]}, None),
        ({"a": "x"}, {"$arrayElemAt": ["$a", 0]}, EvaluationError),
    ],
)
def array_elem_at(array: Any, index: Any) -> Any:
    """The item at an index, counted from 0, or from the end for a negative one; nothing beyond the ends.

    Null if either is null or missing. Raises for anything that is not an array, and for an index that is not a whole
    number of 32 bits. MongoDB: $arrayElemAt.
    """
    if is_nullish(array) or is_nullish(index):
        return None
    an_array("$arrayElemAt", array)
    at = whole_number("$arrayElemAt", "its index", index)
    return array[at] if -len(array) <= at < len(array) else MISSING


def _item(name: str, function: Callable[..., Any], index: int | None) -> Callable[[Emitter, list[Atom]], Atom | None]:
    """Inline source for the item at a known place; ``None`` reads the place from the second argument."""

    def inline(e: Emitter, atoms: list[Atom]) -> Atom | None:
        a = atoms[0]
        at = index
        if not a.may_be(kinds.ARRAY):
            return None
        if at is None:
            code = atoms[1].code.strip("()")
            if not code.lstrip("-").isdigit() or abs(int(code)) > INT32_MAX:
                return None
            at = int(code)
        slow = f"{e.bind(function, name)}({', '.join(atom.code for atom in atoms)})"
        if at == 0:
            guards = f"{a.code}.__class__ is list and {a.code}"
        else:
            guards = f"{a.code}.__class__ is list and len({a.code}) >= {at + 1 if at > 0 else -at}"
        return e.assign(f"{a.code}[{at}] if {guards} else {slow}", ELEMENT)

    return inline


array_elem_at.inline(_item("array_elem_at", array_elem_at.function, None))


@operator(
    "$first",
    examples=[
        ({"a": [1, 2, 3]}, {"$first": "$a"}, 1),
        ({"a": []}, {"$first": "$a"}, MISSING),
        ({}, {"$first": "$a"}, None),
        ({"a": 1}, {"$first": "$a"}, EvaluationError),
    ],
)
def first(array: Any) -> Any:
    """The first item of an array, nothing of an empty one.

    Null if null or missing. Raises for anything that is not an array. MongoDB: $first (array operator).
    """
    if is_nullish(array):
        return None
    return an_array("$first", array)[0] if array else _nothing("$first", array)


def _nothing(name: str, array: Any) -> Any:
    an_array(name, array)
    return MISSING


first.inline(_item("first", first.function, 0))


@operator(
    "$last",
    examples=[
        ({"a": [1, 2, 3]}, {"$last": "$a"}, 3),
        ({"a": []}, {"$last": "$a"}, MISSING),
        ({}, {"$last": "$a"}, None),
    ],
)
def last(array: Any) -> Any:
    """The last item of an array, nothing of an empty one.

    Null if null or missing. Raises for anything that is not an array. MongoDB: $last (array operator).
    """
    if is_nullish(array):
        return None
    return an_array("$last", array)[-1] if array else _nothing("$last", array)


last.inline(_item("last", last.function, -1))


@operator(
    "$in",
    returns=kinds.BOOL,
    examples=[
        ({"a": 1}, {"$in": ["$a", [1.0, 2]]}, True),
        ({"a": "x", "b": ["y"]}, {"$in": ["$a", "$b"]}, False),
        ({"a": 1}, {"$in": ["$a", "$b"]}, EvaluationError),
    ],
)
def in_(value: Any, array: Any) -> bool:
    """Whether an array holds a value. Raises when the second argument is not an array. MongoDB: $in (expression)."""
    an_array("$in", array, "an array as its second argument")
    kind = value.__class__
    if kind is str:
        return value in array
    if (kind is int or kind is float) and value == value and value not in array:
        return False  # what differs to Python differs to MongoDB
    return any(equal(value, item) for item in array)


def _membership(function: Callable[..., Any], symbol: str) -> Callable[[Emitter, list[Atom]], Atom | None]:
    """Inline source of ``in`` or ``not in``: by keys for a constant array, else for strings alone."""

    def inline(e: Emitter, atoms: list[Atom]) -> Atom | None:
        value, array = atoms
        items = e.namespace.get(array.code)
        if items.__class__ is list:
            keys = e.bind(frozenset(map(canonical, items)), "items")
            if value.is_only(kinds.STRING | kinds.INT):
                return e.assign(f"{value.code} {symbol} {keys}", kinds.BOOL)
            key = e.bind(canonical, "canonical")
            plain = f"{value.code}.__class__ is str or {value.code}.__class__ is int"
            return e.assign(f"({value.code} if {plain} else {key}({value.code})) {symbol} {keys}", kinds.BOOL)
        if not value.may_be(kinds.STRING) or not array.may_be(kinds.ARRAY):
            return None
        slow = f"{e.bind(function, function.__name__)}({value.code}, {array.code})"
        test = f"{value.code}.__class__ is str and {array.code}.__class__ is list"
        return e.assign(f"{value.code} {symbol} {array.code} if {test} else {slow}", kinds.BOOL)

    return inline


in_.inline(_membership(in_.function, "in"))
nin.inline(_membership(nin.function, "not in"))


@operator(
    "$indexOfArray",
    returns=kinds.INT | kinds.NULL,
    examples=[
        ({"a": ["x", "y", "x"]}, {"$indexOfArray": ["$a", "x"]}, 0),
        ({"a": ["x", "y", "x"]}, {"$indexOfArray": ["$a", "x", 1]}, 2),
        ({"a": ["x"]}, {"$indexOfArray": ["$a", "z"]}, -1),
        ({}, {"$indexOfArray": ["$a", "z"]}, None),
    ],
)
def index_of_array(array: Any, value: Any, start: Any = 0, end: Any = INT32_MAX) -> Any:
    """The index of the first item that equals a value, at or after ``start`` and before ``end``; -1 when there is none.

    Null if the array is null or missing. Raises for anything else that is not an array, and for bounds that are not
    whole numbers of at least 0. MongoDB: $indexOfArray.
    """
    if is_nullish(array):
        return None
    an_array("$indexOfArray", array)
    begin = whole_number("$indexOfArray", "its start", start, 0)
    stop = whole_number("$indexOfArray", "its end", end, 0)
    if value.__class__ is str or value.__class__ is int:
        try:  # what differs to Python differs to MongoDB
            begin = array.index(value, begin, min(stop, len(array)))
        except ValueError:
            return -1
    for i in range(begin, min(stop, len(array))):
        if equal(array[i], value):
            return i
    return -1


def place_in(array: list[Any], value: Any) -> int:
    """As ``$indexOfArray`` for a string or an int: Python's own search, where what it finds is of the same type."""
    if value not in array:  # what differs to Python differs to MongoDB
        return -1
    found = array.index(value)
    return found if array[found].__class__ is value.__class__ else int(index_of_array.function(array, value))


@index_of_array.inline
def _index_of_array(e: Emitter, atoms: list[Atom]) -> Atom | None:
    if len(atoms) != 2 or not atoms[0].may_be(kinds.ARRAY) or not atoms[1].may_be(kinds.STRING | kinds.INT):
        return None
    array, value = (atom.code for atom in atoms)
    guards = [] if atoms[0].is_only(kinds.ARRAY) else [f"{array}.__class__ is list"]
    if not atoms[1].is_only(kinds.STRING) and not atoms[1].is_only(kinds.INT):
        guards.append(f"({value}.__class__ is str or {value}.__class__ is int)")
    slow = f"{e.bind(index_of_array.function, 'index_of_array')}({array}, {value})"
    fast = f"{e.bind(place_in, 'place_in')}({array}, {value})"
    return e.guarded(guards, lambda: e.assign(fast, kinds.INT), slow, kinds.INT | kinds.NULL)


@operator(
    "$slice",
    returns=kinds.ARRAY | kinds.NULL,
    examples=[
        ({"a": [1, 2, 3, 4]}, {"$slice": ["$a", 2]}, [1, 2]),
        ({"a": [1, 2, 3, 4]}, {"$slice": ["$a", -1]}, [4]),
        ({"a": [1, 2, 3, 4]}, {"$slice": ["$a", 1, 2]}, [2, 3]),
        ({}, {"$slice": ["$a", 2]}, None),
    ],
)
def slice_(array: Any, position: Any, count: Any = MISSING) -> Any:
    """The first items of an array (the last ones for a negative number), or ``count`` items from a position on.

    A negative position counts from the end. Null if any argument is null or missing. Raises for anything that is not
    an array, and for numbers that are not whole; a count beside a position must be at least 1. MongoDB: $slice.
    """
    return _slice3(array, position, count) if count is not MISSING else _slice2(array, position)


def _slice2(array: Any, count: Any) -> Any:
    if is_nullish(array):
        return None
    an_array("$slice", array)
    if is_nullish(count):
        return None
    n = whole_number("$slice", "its number of items", count)
    return array[:n] if n >= 0 else array[n:]


def _slice3(array: Any, position: Any, count: Any) -> Any:
    if is_nullish(array):
        return None
    an_array("$slice", array)
    if is_nullish(position):
        return None
    start = whole_number("$slice", "its position", position)
    if is_nullish(count):
        return None
    n = whole_number("$slice", "its number of items", count, 1)
    if start < 0:
        start = max(0, start + len(array))
    return array[start : start + n]


@slice_.inline
def _slice(e: Emitter, atoms: list[Atom]) -> Atom | None:
    a = atoms[0]
    numbers = [atom.code.strip("()") for atom in atoms[1:]]
    function = _slice2 if len(atoms) == 2 else _slice3
    slow = f"{e.bind(function, function.__name__.strip('_'))}({', '.join(atom.code for atom in atoms)})"
    known = a.may_be(kinds.ARRAY) and all(n.lstrip("-").isdigit() and abs(int(n)) <= INT32_MAX for n in numbers)
    if not known or (len(numbers) == 2 and (int(numbers[0]) < 0 or int(numbers[1]) < 1)):
        return e.assign(slow, kinds.ARRAY | kinds.NULL)
    if len(numbers) == 2:
        part = f"{numbers[0]}:{int(numbers[0]) + int(numbers[1])}"
    else:
        part = f":{numbers[0]}" if int(numbers[0]) >= 0 else f"{numbers[0]}:"
    if a.is_only(kinds.ARRAY):
        return e.assign(f"{a.code}[{part}]", kinds.ARRAY)
    return e.assign(f"{a.code}[{part}] if {a.code}.__class__ is list else {slow}", kinds.ARRAY | kinds.NULL)


@operator(
    "$concatArrays",
    returns=kinds.ARRAY | kinds.NULL,
    examples=[
        ({"a": [1], "b": [2]}, {"$concatArrays": ["$a", [0], "$b"]}, [1, 0, 2]),
        ({"a": [1]}, {"$concatArrays": ["$a", "$b"]}, None),
        ({"a": [1], "b": 2}, {"$concatArrays": ["$a", "$b"]}, EvaluationError),
    ],
)
def concat_arrays(*arrays: Any) -> Any:
    """Arrays, one after the other, as one.

    Null from the first argument that is null or missing. Raises for anything that is not an array.
    MongoDB: $concatArrays.
    """
    result: list[Any] = []
    for array in arrays:
        if is_nullish(array):
            return None
        result += an_array("$concatArrays", array, "arrays")
    return result


@concat_arrays.inline
def _concat_arrays(e: Emitter, atoms: list[Atom]) -> Atom | None:
    if not atoms or not all(a.may_be(kinds.ARRAY) for a in atoms):
        return None
    guards = [f"{a.code}.__class__ is list" for a in atoms if not a.is_only(kinds.ARRAY)]
    slow = f"{e.bind(concat_arrays.function, 'concat_arrays')}({', '.join(a.code for a in atoms)})"
    fast = "[" + ", ".join("*" + a.code for a in atoms) + "]"
    return e.guarded(guards, lambda: e.assign(fast, kinds.ARRAY), slow, kinds.ARRAY | kinds.NULL)


@operator(
    "$reverseArray",
    returns=kinds.ARRAY | kinds.NULL,
    examples=[({"a": [1, 2, 3]}, {"$reverseArray": "$a"}, [3, 2, 1]), ({}, {"$reverseArray": "$a"}, None)],
)
def reverse_array(array: Any) -> Any:
    """An array from its end to its beginning.

    Null if null or missing. Raises for anything that is not an array. MongoDB: $reverseArray.
    """
    return None if is_nullish(array) else an_array("$reverseArray", array)[::-1]


@reverse_array.inline
def _reverse_array(e: Emitter, atoms: list[Atom]) -> Atom | None:
    (a,) = atoms
    if not a.may_be(kinds.ARRAY):
        return None
    slow = f"{e.bind(reverse_array.function, 'reverse_array')}({a.code})"
    return e.assign(f"{a.code}[::-1] if {a.code}.__class__ is list else {slow}", kinds.ARRAY | kinds.NULL)


@operator(
    "$range",
    returns=kinds.ARRAY,
    examples=[
        ({"n": 3}, {"$range": [0, "$n"]}, [0, 1, 2]),
        ({"n": 10}, {"$range": ["$n", 0, -4]}, [10, 6, 2]),
        ({}, {"$range": [0, "$n"]}, EvaluationError),
    ],
)
def range_(start: Any, end: Any, step: Any = 1) -> list[int]:
    """The whole numbers from ``start`` to just before ``end``, ``step`` apart.

    Raises for anything that is not a whole number of 32 bits, for a step of 0, and for more than 6.5 million numbers.
    MongoDB: $range.
    """
    begin = whole_number("$range", "its start", start)
    stop = whole_number("$range", "its end", end)
    by = whole_number("$range", "its step", step)
    if by == 0:
        raise EvaluationError("$range takes a step other than 0")
    numbers = range(begin, stop, by)
    if len(numbers) > LONGEST_RANGE:
        raise EvaluationError(f"$range makes at most {LONGEST_RANGE} numbers, {len(numbers)} were asked for")
    return list(numbers)


@range_.inline
def _range(e: Emitter, atoms: list[Atom]) -> Atom | None:
    if len(atoms) != 2 or not all(a.may_be(kinds.INT) for a in atoms):
        return None
    a, b = (atom.code for atom in atoms)
    guards = [f"{x.code}.__class__ is int" for x in atoms if not x.is_only(kinds.INT)]
    guards += [
        f"{-INT32_MAX} <= {a} <= {INT32_MAX}",
        f"{-INT32_MAX} <= {b} <= {INT32_MAX}",
        f"{b} - {a} <= {LONGEST_RANGE}",
    ]
    slow = f"{e.bind(range_.function, 'range_')}({a}, {b})"
    return e.guarded(guards, lambda: e.assign(f"list(range({a}, {b}))", kinds.ARRAY), slow, kinds.ARRAY)
