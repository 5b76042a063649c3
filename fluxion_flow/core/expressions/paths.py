"""Field paths over values of every shape: reading, setting, removing; arrays on the way are mapped over."""

from __future__ import annotations

from typing import Any

from ..values import MISSING


def path_in(value: Any, parts: tuple[str, ...]) -> Any:
    """The value at ``parts`` below ``value``, ``MISSING`` when there is none.

    An array on the way gives the array of what its documents hold there (MongoDB: field paths in aggregation);
    anything in it that is not a document is passed over, arrays in arrays too.
    """
    for i, part in enumerate(parts):
        if value.__class__ is dict:
            value = value.get(part, MISSING)
        elif value.__class__ is list:
            rest = parts[i:]
            found = [path_in(item, rest) for item in value if item.__class__ is dict]
            return [item for item in found if item is not MISSING]
        else:
            return MISSING
    return value


def set_path(value: Any, parts: tuple[str, ...], new: Any) -> Any:
    """``value`` with ``new`` at ``parts``, copied along the way; ``MISSING`` removes (MongoDB: $set with dotted names).

    An array on the way is mapped over; anything that is not a document is replaced by one.
    """
    if not parts:
        return new
    if value.__class__ is list:
        return [set_path(item, parts, new) for item in value]
    if value.__class__ is not dict:
        if new is MISSING:
            return value
        value = {}
    inner = set_path(value.get(parts[0], MISSING), parts[1:], new)
    if inner is MISSING:
        return {k: v for k, v in value.items() if k != parts[0]}
    return {**value, parts[0]: inner}


def set_fields(value: Any, fields: dict[str, Any]) -> Any:
    """``value`` with new fields, none of them ``MISSING``, as several :func:`set_path` would set them."""
    if value.__class__ is list:
        return [set_fields(item, fields) for item in value]
    return {**value, **fields} if value.__class__ is dict else dict(fields)


def without(value: Any, tree: dict[str, Any]) -> Any:
    """``value`` without the fields that ``tree`` names (a leaf is ``None``), arrays mapped over (MongoDB: $unset)."""
    if value.__class__ is list:
        return [without(item, tree) for item in value]
    if value.__class__ is not dict:
        return value
    result = {}
    for name, item in value.items():
        if name not in tree:
            result[name] = item
        elif tree[name] is not None:
            result[name] = without(item, tree[name])
    return result


def only(value: Any, tree: dict[str, Any]) -> Any:
    """What of ``value`` the ``tree`` names (a leaf is ``None``), ``MISSING`` for what is not a document or an array.

    MongoDB: $project with inclusions; in an array what is not a document falls away, in a document a scalar where a
    document was asked for is left out.
    """
    if value.__class__ is list:
        kept = [only(item, tree) for item in value]
        return [item for item in kept if item is not MISSING]
    if value.__class__ is not dict:
        return MISSING
    result = {}
    for name, subtree in tree.items():
        if name in value:
            item = value[name] if subtree is None else only(value[name], subtree)
            if item is not MISSING:
                result[name] = item
    return result
