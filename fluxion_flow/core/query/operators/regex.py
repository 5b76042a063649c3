"""Regular expressions: $regex with $options (MongoDB: $regex)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ....errors import Where
from ...expressions.emit import Emitter
from ...expressions.parse import Parser
from ...ordering import regex_options
from ..condition import Condition, Never
from ..parse import shown
from ..paths import Reading
from ..pattern import OPTIONS, compile_pattern
from ..registry import field_operator


@dataclass(frozen=True, eq=False)
class Regex(Condition):
    """A string in which a regular expression is found, or the very same regular expression."""

    pattern: re.Pattern[str]

    def holds(self, value: Any) -> bool:
        if isinstance(value, str):
            return self.pattern.search(value) is not None
        if isinstance(value, re.Pattern):
            return value.pattern == self.pattern.pattern and regex_options(value) == regex_options(self.pattern)
        return False

    def source(self, e: Emitter, value: Reading) -> str:
        search = e.bind(self.pattern.search, "search")
        guard = f"{value.code}.__class__ is str"
        return f"({search}({value.code}) is not None if {guard} else {self.slow_unless_absent(e, value)})"


@field_operator(
    "$regex",
    companions=("$options",),
    examples=[
        ({"s": "Alpha"}, {"s": {"$regex": "^al", "$options": "i"}}, True),
        ({"s": ["x", "beta"]}, {"s": re.compile("ta$")}, True),
        ({"s": 5}, {"s": {"$regex": "5"}}, False),
    ],
)
def regex(spec: Mapping[str, Any], where: Where, parser: Parser) -> Condition:
    """A string in which a regular expression is found.

    ``$options``: i ignores case, m makes ``^`` and ``$`` match at lines, s lets a dot match newlines, x allows spaces
    and comments, u changes nothing.

    A text is read as Perl's kind of expression, a compiled one (``re.compile``) as Python's. MongoDB: $regex.
    """
    pattern, options = spec["$regex"], spec.get("$options", "")
    if not isinstance(options, str) or set(options) - set(OPTIONS):
        parser.problems.add(where / "$options", f"takes some of the letters {', '.join(OPTIONS)}, got {shown(options)}")
        return Never(where)
    if isinstance(pattern, re.Pattern):
        if isinstance(pattern.pattern, bytes):
            parser.problems.add(where / "$regex", "takes a regular expression for text, got one for bytes")
            return Never(where)
        if options and regex_options(pattern):
            parser.problems.add(where, "has options in $regex and in $options", "leave one of them out")
        if not options:
            return Regex(where / "$regex", pattern)
        flags = sum(flag for letter, flag in OPTIONS.items() if letter in options)
        return Regex(where / "$regex", re.compile(pattern.pattern, flags))
    if not isinstance(pattern, str):
        parser.problems.add(where / "$regex", f"takes a text or a regular expression, got {shown(pattern)}")
        return Never(where)
    try:
        return Regex(where / "$regex", compile_pattern(pattern, options))
    except ValueError as error:
        parser.problems.add(where / "$regex", f"is no regular expression: {error}")
        return Never(where)
