"""Arrays side by side, and as pairs of names and values: $zip, $arrayToObject, $objectToArray (MongoDB: the same)."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from ....errors import Where
from ...values import EvaluationError, is_nullish, type_name
from .. import kinds
from ..nodes import ArrayNode, Const, Node, constant_of
from ..parse import Parser
from ..registry import form, operator
from .applied import applied
from .arrays import an_array


@form(
    "$zip",
    arity="{inputs: [array, …], useLongestLength, defaults}",
    examples=[
        ({"a": [1, 2], "b": ["x", "y", "z"]}, {"$zip": {"inputs": ["$a", "$b"]}}, [[1, "x"], [2, "y"]]),
        (
            {"a": [1], "b": ["x", "y"]},
            {"$zip": {"inputs": ["$a", "$b"], "useLongestLength": True, "defaults": [0, "-"]}},
            [[1, "x"], [0, "y"]],
        ),
        ({"a": [1]}, {"$zip": {"inputs": ["$a", "$b"]}}, None),
        ({"a": [1], "b": 2}, {"$zip": {"inputs": ["$a", "$b"]}}, EvaluationError),
    ],
)
def zip_(spec: Any, where: Where, parser: Parser) -> Node:
    """The first items of some arrays, then their second ones, and so on: an array of arrays.

    As long as the shortest array, or with ``useLongestLength`` as the longest, with null or ``defaults`` where one has
    ended. Null if an array is null or missing. Raises for anything else that is not an array. MongoDB: $zip.
    """
    given = parser.arguments(spec, where, ("inputs",), ("useLongestLength", "defaults"))
    if given is None:
        return Const(where, None)
    longest = given.get("useLongestLength", False)
    if not isinstance(longest, bool):
        parser.problems.add(where / "useLongestLength", f"is true or false, got {longest!r}")
    if "defaults" in given and longest is False:
        parser.problems.add(where / "defaults", "needs useLongestLength", "add useLongestLength: true")
    inputs = parser.expression(given["inputs"], where / "inputs")
    defaults = parser.expression(given["defaults"], where / "defaults") if "defaults" in given else None
    known = [_length(node, where / name, parser) for name, node in (("inputs", inputs), ("defaults", defaults)) if node]
    if known[0] == 0:
        parser.problems.add(where / "inputs", "takes at least one array")
    elif len(known) == 2 and None not in known and known[0] != known[1]:
        parser.problems.add(where / "defaults", f"takes one for each input: {known[0]}, got {known[1]}")
    if not longest:
        return applied(where, "$zip", zip_shortest, inputs, returns=kinds.ARRAY | kinds.NULL)
    arguments = [inputs] if defaults is None else [inputs, defaults]
    return applied(where, "$zip", zip_to_longest, *arguments, returns=kinds.ARRAY | kinds.NULL)


def _length(node: Node, where: Where, parser: Parser) -> int | None:
    """How many items an array written out in the definition has."""
    if isinstance(node, ArrayNode):
        return len(node.items)
    if isinstance(node, Const):
        value = constant_of(node)
        if isinstance(value, list):
            return len(value)
        parser.problems.add(where, f"takes an array, got {type_name(value)}")
    return None


def _inputs(inputs: Any) -> list[Any] | None:
    """The arrays to be zipped, ``None`` when one of them is null."""
    arrays = an_array("$zip", inputs, "an array of arrays as its inputs")
    if not arrays:
        raise EvaluationError("$zip takes at least one array")
    if any(is_nullish(array) for array in arrays):
        return None
    for array in arrays:
        an_array("$zip", array, "arrays as its inputs")
    return arrays


def zip_shortest(inputs: Any) -> Any:
    """The items of arrays side by side, up to the end of the shortest."""
    arrays = _inputs(inputs)
    return None if arrays is None else [list(items) for items in zip(*arrays)]  # noqa: B905


def zip_to_longest(inputs: Any, defaults: Any = None) -> Any:
    """The items of arrays side by side, up to the end of the longest."""
    arrays = _inputs(inputs)
    if defaults is not None:
        an_array("$zip", defaults, "an array as its defaults")
        if len(defaults) != len(inputs):
            raise EvaluationError(f"$zip takes one default for each input: {len(inputs)}, got {len(defaults)}")
    if arrays is None:
        return None
    if defaults is None:
        return [list(items) for items in zip_longest(*arrays)]
    length = max(map(len, arrays))
    return [
        [array[i] if i < len(array) else default for array, default in zip(arrays, defaults)]  # noqa: B905
        for i in range(length)
    ]


@operator(
    "$objectToArray",
    returns=kinds.ARRAY | kinds.NULL,
    examples=[
        ({"o": {"a": 1, "b": 2}}, {"$objectToArray": "$o"}, [{"k": "a", "v": 1}, {"k": "b", "v": 2}]),
        ({}, {"$objectToArray": "$o"}, None),
        ({"o": [1]}, {"$objectToArray": "$o"}, EvaluationError),
    ],
)
def object_to_array(document: Any) -> Any:
    """The fields of a document as an array of ``{k: name, v: value}``.

    Null if null or missing. Raises for anything that is not a document. MongoDB: $objectToArray.
    """
    if is_nullish(document):
        return None
    if document.__class__ is not dict:
        raise EvaluationError(f"$objectToArray takes an object, got {type_name(document)}")
    return [{"k": name, "v": value} for name, value in document.items()]


@operator(
    "$arrayToObject",
    returns=kinds.OBJECT | kinds.NULL,
    examples=[
        ({"a": [{"k": "x", "v": 1}, {"k": "y", "v": 2}]}, {"$arrayToObject": "$a"}, {"x": 1, "y": 2}),
        ({"a": [["x", 1], ["y", 2], ["x", 3]]}, {"$arrayToObject": "$a"}, {"x": 3, "y": 2}),
        ({}, {"$arrayToObject": "$a"}, None),
        ({"a": [["x", 1], {"k": "y", "v": 2}]}, {"$arrayToObject": "$a"}, EvaluationError),
    ],
)
def array_to_object(array: Any) -> Any:
    """A document made from ``[name, value]`` pairs, or from documents ``{k: name, v: value}``; the last of a name wins.

    Null if null or missing. Raises for anything that is not an array, for items of other shapes or of both shapes
    mixed, and for names that are not strings or hold a null byte. MongoDB: $arrayToObject.
    """
    if is_nullish(array):
        return None
    an_array("$arrayToObject", array)
    result: dict[str, Any] = {}
    shape: Any = array[0].__class__ if array else list
    for item in array:
        if item.__class__ is not shape:
            raise EvaluationError("$arrayToObject takes either pairs or {k, v} documents, not both")
        if shape is list and len(item) == 2:
            name, value = item
        elif shape is dict and len(item) == 2 and "k" in item and "v" in item:
            name, value = item["k"], item["v"]
        else:
            raise EvaluationError("$arrayToObject takes [name, value] pairs or {k: name, v: value} documents")
        if name.__class__ is not str:
            raise EvaluationError(f"$arrayToObject takes strings as names, got {type_name(name)}")
        if "\0" in name:
            raise EvaluationError("$arrayToObject takes names without null bytes")
        result[name] = value
    return result
