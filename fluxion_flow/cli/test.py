"""``fluxion test``: the tests that stand as data beside pipelines."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import click

from ..errors import FluxionError
from .failures import FAILED, WRONG, error_data, json_option, print_json, redacted


@click.command("test")
@click.argument("places", metavar="[FILE | DIRECTORY]...", nargs=-1)
@click.option("-k", "part", metavar="TEXT", help="Only tests with this in their file's or own name.")
@click.option("--update", is_flag=True, help="Write what came into the files, in place of what was expected.")
@json_option
@click.pass_context
def command(ctx: click.Context, places: tuple[str, ...], part: str | None, update: bool, as_json: bool) -> None:
    """Run the tests in *.flowtest.yaml, in this directory and below unless places are given.

    The pipeline runs on the real engine; its source, its sinks and its dead-letter sinks are mocked. Everything that is
    not as expected is told. The same files are collected by pytest.

    \b
    Exit codes: 0 all passed; 1 some failed; 2 a file or a pipeline is wrong, or there are no tests
    """
    from ..testing.flowtest import find_files, read_tests

    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)  # functions are named by their modules
    reports: list[dict[str, Any]] = []
    files = find_files(list(places or ["."]))
    for path in files:
        try:
            tests = [test for test in read_tests(path) if part is None or part in f"{path}::{test.name}"]
        except FluxionError as error:
            reports.append({"file": str(path), "test": "", "outcome": "error", "seconds": 0.0, **error_data(error)})
            continue
        verdicts = []
        for test in tests:
            started = time.monotonic()
            report: dict[str, Any] = {"file": str(path), "test": test.name}
            try:
                verdict = test.run()
                verdicts.append(verdict)
                report |= {"outcome": "failed" if verdict.wrong else "passed", "differences": verdict.wrong}
            except FluxionError as error:
                report |= {"outcome": "error", **error_data(error)}
            report["seconds"] = round(time.monotonic() - started, 3)
            reports.append(report)
        if update and verdicts:
            from ..testing.update import update as write

            if write(path, verdicts):
                for report in reports:
                    if report["file"] == str(path) and report["outcome"] == "failed":
                        report["outcome"] = "updated"
    outcomes = [report["outcome"] for report in reports]
    counts = {name: outcomes.count(name) for name in ("passed", "failed", "error", "updated")}
    if as_json:
        print_json({**counts, "tests": reports})
    else:
        _tell(reports, counts)
    if not reports or counts["error"]:
        ctx.exit(WRONG)
    ctx.exit(FAILED if counts["failed"] else 0)


def _tell(reports: list[dict[str, Any]], counts: dict[str, int]) -> None:
    for report in reports:
        name = f"{report['file']}::{report['test']}" if report["test"] else report["file"]
        click.echo(f"{report['outcome']:<8}{name}")
        lines = list(report.get("differences", ())) if report["outcome"] == "failed" else []
        lines += [_problem(problem) for problem in report.get("problems", ())]
        lines += [report["error"]] if "error" in report else []
        for line in lines:
            click.echo(redacted(f"        {line}"))
    told = [f"{number} {name}" for name, number in counts.items() if number]
    click.echo(", ".join(told) if told else "no tests; write some into a file such as orders.flowtest.yaml")


def _problem(problem: dict[str, str]) -> str:
    return f"{problem['where']}: {problem['what']}" + (f"; {problem['hint']}" if problem["hint"] else "")
