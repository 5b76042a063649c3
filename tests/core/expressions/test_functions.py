"""$function: registered functions, lambdas in a definition, JavaScript in its sandbox."""

from __future__ import annotations

import datetime
import importlib.util
from collections.abc import Callable
from typing import Any

import pytest

from fluxion_flow.core.context import StreamingContext
from fluxion_flow.core.expressions.operators import javascript
from fluxion_flow.core.values import EvaluationError

Evaluate = Callable[..., Any]

needs_engine = pytest.mark.skipif(
    importlib.util.find_spec("quickjs") is None, reason="the extra fluxion-flow[js] is not installed"
)


def _call(body: Any, *args: Any, lang: str = "python") -> dict[str, Any]:
    return {"$function": {"body": body, "args": list(args), "lang": lang}}


def test_a_registered_function_is_found_by_name(evaluate: Evaluate) -> None:
    assert evaluate(_call("double", "$a"), {"a": 4}, double=lambda x: 2 * x) == 8


def test_missing_arrives_as_none_and_containers_as_copies(evaluate: Evaluate) -> None:
    def change(items: list[Any], absent: Any) -> Any:
        items.append(absent)
        return items, absent

    document = {"a": [1]}
    assert evaluate(_call("change", "$a", "$b"), document, change=change) == [[1, None], None]
    assert document == {"a": [1]}


def test_results_are_values_of_documents(evaluate: Evaluate) -> None:
    day = datetime.date(2024, 2, 29)
    expected = datetime.datetime(2024, 2, 29, tzinfo=datetime.timezone.utc)
    assert evaluate(_call(lambda: {"day": day})) == {"day": expected}
    with pytest.raises(EvaluationError, match="a document cannot hold a Python 'set'"):
        evaluate(_call(lambda: {1, 2}))
    with pytest.raises(EvaluationError, match="with a name of type int"):
        evaluate(_call(lambda: {1: 2}))


def test_what_a_function_raises_comes_through(evaluate: Evaluate) -> None:
    with pytest.raises(ZeroDivisionError):
        evaluate(_call("half", 0), half=lambda x: 1 / x)


@pytest.mark.parametrize(
    ("body", "args", "expected"),
    [
        ("lambda price: price * 2", [100], 200),
        ("lambda a, b=3: 'more' if a > b else 'less'", [5], "more"),
        ("lambda c: [x['v'] for x in c if x.get('v')]", [[{"v": 1}, {"v": 0}]], [1]),
        ("lambda s: s.strip().title()", [" ada "], "Ada"),
        ("lambda xs: sorted(xs, key=lambda x: -x)[0]", [[1, 3, 2]], 3),
    ],
)
def test_a_lambda_in_a_definition(body: str, args: list[Any], expected: Any, evaluate: Evaluate) -> None:
    assert evaluate(_call(body, *[{"$literal": a} for a in args], lang="js")) == expected


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ("lambda: __import__('os')", "cannot use __import__"),
        ("lambda x: x.__class__", "cannot use .__class__"),
        ("lambda x: '{0.x}'.format(x)", "cannot use .format"),
        ("lambda x: f'{x}'", "cannot use JoinedStr"),
        ("lambda x: 9 ** 9 ** 9", "cannot use Pow"),
        ("lambda x: (y := x)", "cannot use NamedExpr"),
    ],
)
def test_a_lambda_in_a_definition_reaches_nothing_else(body: str, wrong: str, problems_of: Callable[..., str]) -> None:
    hint = "register a Python function and give its name"
    assert problems_of(_call(body, 1)) == f"x.$function.body: a lambda in a definition {wrong}; {hint}"


def test_a_lambda_knows_no_names_but_its_own(evaluate: Evaluate) -> None:
    with pytest.raises(NameError):
        evaluate(_call("lambda: open('/etc/passwd')"))


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (_call("dobule", 1), "x.$function.body: unknown function 'dobule'; did you mean 'double'?"),
        (_call("triple", 1), "x.$function.body: unknown function 'triple'; register it as a function of this pipeline"),
        (_call(5), "x.$function.body: takes the name of a registered function; register it with @function"),
        (
            {"$function": {"body": "double", "args": "$a", "lang": "lua"}},
            "x.$function.lang: unknown language 'lua'; known are python and js\n"
            'x.$function.args: takes an array of expressions; such as ["$price"]',
        ),
    ],
)
def test_a_bad_function_is_answered_before_it_runs(spec: Any, text: str, problems_of: Callable[..., str]) -> None:
    assert problems_of(spec, double=abs) == text


def test_javascript_without_its_engine_says_what_to_install(
    problems_of: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(javascript, "available", lambda: False)
    assert problems_of(_call("function(a) { return a; }", 1, lang="js")) == (
        "x.$function.body: JavaScript needs an engine that is not installed; "
        'pip install "fluxion-flow[js]", or register a Python function and give its name'
    )


@needs_engine
@pytest.mark.parametrize(
    ("body", "args", "expected"),
    [
        ("function(a, b) { return a + b; }", [2, 3], 5),
        ("(p, d) => Math.round(p - p * d)", [200, 0.15], 170),
        ("function() { return 2 ** 40; }", [], 2.0**40),
        ("function(x) { return {a: [x, null, undefined]}; }", ["é"], {"a": ["é", None, None]}),
        ("function() {}", [], None),
        ("function(x) { return 1 / x; }", [0], float("inf")),
        ("function(x) { return x; }", [float("-inf")], float("-inf")),
        (
            "function(d) { return new Date(d.getTime() + 1000); }",
            [datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)],
            datetime.datetime(2024, 1, 1, 0, 0, 1, tzinfo=datetime.timezone.utc),
        ),
    ],
)
def test_javascript_values_cross_both_ways(body: str, args: list[Any], expected: Any, evaluate: Evaluate) -> None:
    got = evaluate(_call(body, *args, lang="js"))
    assert got == expected
    assert type(got) is type(expected)


@needs_engine
def test_javascript_that_takes_too_much_is_stopped(evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(javascript, "SECONDS", 0.2)
    for body, why in (
        ("function() { while (true) {} }", "it takes more than 0.2 seconds"),
        ("function() { const a = []; while (true) a.push('x'.repeat(9999)); }", "it takes more than 32 MiB of memory"),
        ("function() { return require('fs'); }", "ReferenceError: 'require' is not defined"),
    ):
        with pytest.raises(EvaluationError) as raised:
            evaluate(_call(body, lang="js"))
        assert str(raised.value) == f"$function failed in JavaScript: {why}"


@needs_engine
def test_javascript_keeps_nothing_between_calls(evaluate: Evaluate) -> None:
    with pytest.raises(EvaluationError, match=r"object is not extensible|'count' is not defined"):
        evaluate(_call("function() { count = 1; return count; }", lang="js"))


@needs_engine
def test_bad_javascript_is_answered_before_it_runs(problems_of: Callable[..., str]) -> None:
    assert problems_of(_call("function(a { return a; }", 1, lang="js")).startswith(
        "x.$function.body: the JavaScript body cannot be used: SyntaxError"
    )
    assert problems_of(_call("1 + 1", lang="js")) == (
        "x.$function.body: the JavaScript body cannot be used: TypeError: the body is not a function; "
        "write it as function(a, b) { return …; }"
    )


def test_a_function_with_a_parameter_called_context_reads_the_run(evaluate: Callable[..., Any]) -> None:
    def tagged(value: int, context: StreamingContext) -> str:
        return f"{context.pipeline}/{context.step}: {value}, call {context.count('tagged')}"

    spec = {"$function": {"body": "tagged", "args": ["$v"], "lang": "python"}}
    first = evaluate(spec, {"v": 5}, tagged=tagged)
    assert first.startswith("offline/stages: 5, call ")
