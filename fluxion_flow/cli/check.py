"""``fluxion check``: everything that is wrong with definitions, and what the good ones guarantee."""

from __future__ import annotations

from typing import Any

import click

from .failures import FAILED, WRONG, json_option, print_json, problem_data, redacted


@click.command("check")
@click.argument("targets", metavar="TARGET...", nargs=-1, required=True)
@click.option("--connections", is_flag=True, help="Really try sources, sinks and dead-letter sinks.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    default=15.0,
    show_default=True,
    help="How long to wait for the answers of a definition's connections.",
)
@json_option
@click.pass_context
def command(ctx: click.Context, targets: tuple[str, ...], connections: bool, timeout: float, as_json: bool) -> None:
    """Check definitions and report every problem.

    Each problem is told with its path and what to do about it. Nothing is opened and nothing runs. For a good
    definition: what it guarantees, and the shapes of its stages. With --connections every source, sink and dead-letter
    sink is tried: one record is read and no offset is committed, nothing is written or created. What does not answer
    does not stop the others.

    \b
    Exit codes: 0 all is well; 1 a connection does not answer; 2 a definition is wrong
    """
    reports = [_report(target, timeout if connections else None) for target in targets]
    good = all(report["ok"] for report in reports)
    answered = all(one["ok"] is not False for report in reports for one in report.get("connections", ()))
    if as_json:
        print_json({"ok": good and answered, "targets": reports})
    else:
        for report in reports:
            _print(report)
    ctx.exit(WRONG if not good else 0 if answered else FAILED)


def _report(target: str, timeout: float | None) -> dict[str, Any]:
    from ..errors import PipelineError
    from . import loading

    try:
        plan = loading.plan(target)
    except PipelineError as error:
        problems = [problem_data(problem) for problem in dict.fromkeys(error.problems)]
        return {"target": target, "ok": False, "problems": problems}
    from ..compiler.explain import explain

    found = explain(plan)
    stages = [
        {"where": f"stages[{i}].{stage.operator}", **_support(stage.operator)}
        for i, stage in enumerate(plan.definition.stages)
    ]
    data = found.to_dict()
    tried = {}
    if timeout is not None:
        from .connections import try_all

        tried = {"connections": try_all(plan, timeout)}
    return {
        "target": target,
        "ok": True,
        "problems": [],
        "pipeline": found.name,
        "guarantee": {**data["guarantee"], "summary": str(found.guarantee)},
        "stages": stages,
        "warnings": data["warnings"],
        **tried,
    }


def _support(operator: str) -> dict[str, str]:
    """A stage's shape, and on which sources it works."""
    from ..core.stages.registry import all_stages

    entry = all_stages()[operator]
    return {"shape": entry.shape, "streaming": entry.streaming}


def _print(report: dict[str, Any]) -> None:
    target = report["target"]
    if not report["ok"]:
        count = len(report["problems"])
        click.echo(f"{target}: {count} problem{'s' if count > 1 else ''}")
        for problem in report["problems"]:
            where = "" if problem["where"] == target else f"{problem['where']}: "
            hint = f"; {problem['hint']}" if problem["hint"] else ""
            click.echo(redacted(f"  {where}{problem['what']}{hint}"))
        return
    click.echo(f"{target}: ok")
    guarantee = report["guarantee"]
    click.echo(f"  guarantee  {guarantee['summary']}: {guarantee['reason']}")
    for note in guarantee["notes"]:
        click.echo(f"             {note}")
    for i, stage in enumerate(report["stages"]):
        click.echo(f"  {'stages' if i == 0 else '':<9}  {stage['where']}  {stage['shape']}")
    for warning in report["warnings"]:
        click.echo(f"  warning    {warning}")
    words = {True: "ok", False: "FAILED", None: "not tried"}
    for one in report.get("connections", ()):
        click.echo(redacted(f"  {words[one['ok']]:<9}  {one['where']} ({one['what']}): {one['answer']}"))
