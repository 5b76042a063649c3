"""``fluxion dlq``: dead letters listed, shown, replayed and purged."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import FluxionError, PipelineError, Problem, Problems, Where
from .failures import exit_code, json_option, print_json, redacted

if TYPE_CHECKING:
    from ..dlq.letter import Filter, Letter
    from ..dlq.queues import Found, Queue
    from ..dlq.replay import Refused, Replay
    from ..dsl.model import StreamingPipelineDefinition

F = TypeVar("F", bound=Callable[..., Any])

PENDING, REPLAYED = "pending", "replayed"
STATES = (PENDING, REPLAYED, "under way")
NOT_ALL = 1
"""Exit code of a replay that refused letters."""


def filters(command: F) -> F:
    """The options that say which letters are meant."""
    for option in reversed(
        (
            click.option("--from", "place", metavar="type=...,...", help="Where they are, in place of the policies'."),
            click.option("--id", "ids", multiple=True, help="An id, or its beginning; may be repeated."),
            click.option("--step", help="The step that failed: 'stages[1]', 'sink', 'stages*.$set'."),
            click.option("--error", "type_", metavar="TYPE", help="The error's type; * and ? may be in it."),
            click.option("--code", help="Where the failure belongs: decode, stage, enrich, sink, late."),
            click.option("--reason", metavar="TEXT", help="A part of the error's text."),
            click.option("--since", metavar="TIME", help="Written since: 2026-11-25T10:00:00Z, or 2h for 2 h ago."),
            click.option("--until", metavar="TIME", help="Written before."),
            click.option(
                "--journal",
                metavar="DIR",
                envvar="FLUXION_DLQ_JOURNAL",
                type=click.Path(file_okay=False, path_type=Path),
                help="The journal of replays; .fluxion/dlq-<pipeline> unless given. Keep it.",
            ),
        )
    ):
        command = option(command)
    return command


@click.group("dlq")
def command() -> None:
    """Dead letters: list, show, replay and purge them.

    TARGET is a pipeline, whose error policies say where its dead letters are: files, Kafka topics, SQL tables. With
    --from type=files,path=dead.jsonl they are read from there instead.
    """


@command.command("ls")
@click.argument("target", required=False)
@filters
@click.option("--state", type=click.Choice(STATES), help="Only those that are not replayed, or are.")
@click.option("-n", "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many rows.")
@json_option
def ls(target: str | None, state: str | None, limit: int, as_json: bool, **options: Any) -> None:
    """List dead letters, oldest first, one row an id.

    A letter that was replayed and failed again is one row, with all its attempts counted. Nothing is changed.
    """
    chosen = _Chosen(target, **options)
    entries = [(letter, chosen.state(letter)) for _, letter in chosen.found.letters]
    entries = [entry for entry in entries if state in (None, entry[1])]
    if as_json:
        print_json(
            {
                "letters": [_summary(letter, its) for letter, its in entries[:limit]],
                "found": len(entries),
                "not_letters": [{"place": place, "reason": reason} for place, reason in chosen.found.others],
            }
        )
        return
    if entries:
        from .tables import print_rows

        print_rows(
            ("id", "written", "step", "error", "attempts", "state", "reason"),
            [
                (
                    letter.id[:12],
                    f"{letter.time:%Y-%m-%d %H:%M:%S}" if letter.time else "",
                    letter.step,
                    str(letter.error.get("type", "")),
                    str(letter.attempts),
                    its,
                    str(letter.error.get("reason", "")),
                )
                for letter, its in entries[:limit]
            ],
        )
    more = f", the first {limit} shown" if len(entries) > limit else ""
    counts = Counter(its for _, its in entries)
    parts = [f"{count} {its}" for its, count in counts.items()]
    click.echo(f"{_letters(len(entries))}{more}" + (f": {', '.join(parts)}" if parts else ""), err=True)
    _tell_others(chosen.found)


@command.command("show")
@click.argument("target", required=False)
@filters
@json_option
def show(target: str | None, as_json: bool, **options: Any) -> None:
    """Show dead letters whole: every field, where they are stored, and what became of them.

    \b
    fluxion dlq show orders.yaml --id 3f2a
    """
    chosen = _Chosen(target, **options)
    shown = [
        {
            "place": letter.place,
            "state": chosen.state(letter),
            "earlier": [older.place for _, older in chosen.found.older.get(letter.id, [])],
            "letter": letter.data,
        }
        for _, letter in chosen.found.letters
    ]
    if not shown:
        raise NoLetters(chosen.nothing())
    if as_json:
        print_json(shown)
        return
    for number, one in enumerate(shown):
        click.echo(("\n" if number else "") + click.style(redacted(f"{one['place']}  ({one['state']})"), bold=True))
        click.echo(redacted(json.dumps(one["letter"], indent=2, ensure_ascii=False)))


@command.command("replay")
@click.argument("target")
@filters
@click.option(
    "--at",
    "mode",
    type=click.Choice(["step", "source", "resend"]),
    default="step",
    show_default=True,
    help="Where letters enter: at the step that failed, at the first stage, or at none, to be written to --to as "
    "they are.",
)
@click.option("--to", "to", metavar="type=...,...", help="Deliver there, in place of the pipeline's sinks.")
@click.option("--force", is_flag=True, help="Replay what may be out of date, too.")
@click.option("--dry-run", is_flag=True, help="Say what would be replayed, and where it would enter.")
@json_option
@click.pass_context
def replay(
    ctx: click.Context,
    /,
    target: str,
    mode: str,
    to: str | None,
    force: bool,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Replay dead letters through the pipeline.

    A letter enters at the step that failed, with that step's input; one that could not be decoded enters at the front,
    with its raw record. It goes through the stages behind, under their error policies, to the pipeline's sinks. One
    that fails again is dead-lettered again, under the same id, with its attempts counted on.

    The journal remembers which letters were replayed; they are not replayed twice. A replay that was killed is brought
    to its end first, with the letters that it had taken up. A files sink writes beside, into
    out.replay-<time>-<entry>.jsonl: the pipeline's own files belong to its checkpoint.

    Letters that would go through a stage with state ($group and its like) are refused: the state belongs to the
    pipeline's own run. With --at resend --to type=kafka,topic=... they are written to where the pipeline reads.

    \b
    Exit codes: 0 all replayed (they may have failed again: see the summary); 1 some were refused, or the run failed
    """
    chosen = _Chosen(target, **options)
    plan = _plan(chosen, mode, to)
    from ..dlq.replay import Replay
    from .counts import CountingListener

    listener = CountingListener()
    runner = Replay(plan, mode, force=force, listeners=(listener,))
    pending = [letter for _, letter in chosen.found.letters if chosen.state(letter) == PENDING]
    good, refused = runner.sort(pending)
    report: dict[str, Any] = {"replayed": 0, "resumed": 0, "refused": [_refused(each) for each in refused]}
    code = NOT_ALL if refused else 0
    if dry_run:
        report["would_replay"] = [{"id": letter.id, "enters": entry} for entry, letter in good]
    else:
        try:
            _run(runner, chosen, {"at": mode, "to": to}, good, report)
        except FluxionError as error:
            code = exit_code(error)
            report["error"] = redacted(str(error))
    counts = listener.counts()
    report |= {"delivered": counts["delivered"], "dead_lettered": counts["dead_lettered"], "skipped": counts["skipped"]}
    held = runner.guarantee()
    report["guarantee"] = {"level": held.level, "reason": held.reason}
    if as_json:
        print_json(report)
    else:
        _tell_replay(report, dry_run, chosen.journal)
    ctx.exit(code)


@command.command("purge")
@click.argument("target", required=False)
@filters
@click.option("--state", type=click.Choice(STATES), help="Only those that are replayed, say.")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--yes", is_flag=True, help="Really remove them; without it, what would be removed is counted.")
@json_option
def purge(target: str | None, state: str | None, everything: bool, yes: bool, as_json: bool, **options: Any) -> None:
    """Remove dead letters for good, the older letters of the same id included.

    In a file, letters are overwritten with spaces: its size, which checkpoints count on, stays. From a Kafka topic
    records can be removed from the oldest on only, so those behind one that is to stay, stay.
    """
    chosen = _Chosen(target, **options)
    if not (chosen.wanted or state or everything):
        raise click.UsageError("say which: a filter, --state replayed, or --all")
    entries = [entry for entry in chosen.found.letters if state in (None, chosen.state(entry[1]))]
    whole = [*entries, *(older for _, letter in entries for older in chosen.found.older.get(letter.id, []))]
    gone = 0
    if yes and whole:
        from ..dlq.queues import remove

        gone = remove(whole)
    if as_json:
        print_json({"found": len(entries), "stored": len(whole), "removed": gone})
    elif not yes:
        click.echo(f"{_letters(len(entries))} would be removed; say --yes to remove them")
    else:
        stay = f"; {len(whole) - gone} stay, behind others that are to stay" if gone < len(whole) else ""
        click.echo(f"{_letters(gone)} removed{stay}")


class NoLetters(FluxionError):
    """There is no such letter."""


class _Chosen:
    """The letters that the options of a command mean."""

    def __init__(
        self,
        target: str | None,
        *,
        place: str | None,
        ids: tuple[str, ...],
        step: str | None,
        type_: str | None,
        code: str | None,
        reason: str | None,
        since: str | None,
        until: str | None,
        journal: Path | None,
    ) -> None:
        from ..dlq import journal as journals
        from ..dlq.letter import Filter
        from ..dlq.queues import read_letters

        if target is None and place is None:
            raise click.UsageError("give a TARGET, or --from where they are")
        self.definition = None if target is None else _definition(target)
        self.wanted: Filter = Filter(
            ids, step, type_, code, reason, _moment("--since", since), _moment("--until", until)
        )
        queues = self._queues(place)
        name = self.definition.name if self.definition is not None else None
        self.found: Found = read_letters(queues, name, self.wanted)
        self.journal = journal or Path(".fluxion", f"dlq-{name or 'any'}")
        self._known = journals.known(self.journal)

    def _queues(self, place: str | None) -> list[Queue]:
        from ..dlq.queues import open_queue, queues_of

        if place is None:
            assert self.definition is not None
            return queues_of(self.definition)
        return [open_queue(endpoint("--from", place), Where.at("--from"), self.definition)]

    def state(self, letter: Letter) -> str:
        """Whether a letter is to be replayed yet."""
        return self._known.get((letter.id, letter.replays), PENDING)

    def nothing(self) -> str:
        return "there is no such letter; see: fluxion dlq ls"


def _definition(target: str) -> StreamingPipelineDefinition:
    from . import loading

    return loading.load(target).resolved()


def _plan(chosen: _Chosen, mode: str, to: str | None) -> Any:
    from . import loading

    assert chosen.definition is not None
    definition = chosen.definition
    if mode == "resend" and to is None:
        raise click.UsageError("--at resend needs --to: where the pipeline reads")
    if to is not None:
        from ..dsl.model import SinkSpec

        spec = endpoint("--to", to)
        own = {key: spec.pop(key) for key in ("type", "connection_ref", "name") if key in spec}
        definition = replace(definition, sinks=(SinkSpec(options=spec, **own),))
    plan = loading.planned(definition)
    return replace(plan, stages=(), steps=()) if mode == "resend" else plan


def endpoint(option: str, text: str) -> dict[str, Any]:
    """A source or sink on the command line: ``type=kafka,topic=orders``, or a mapping in YAML.

    Raises :class:`PipelineError`.
    """
    from ..connect.secrets import interpolate
    from ..dsl.files import NotReadable, read_yaml

    where = Where.at(option)
    problems = Problems()
    try:
        found = read_yaml(text) if text.lstrip().startswith("{") else _pairs(text)
    except NotReadable as error:
        raise PipelineError([Problem(where, str(error), "such as type=files,path=dead.jsonl")]) from None
    if not isinstance(found, Mapping):
        raise PipelineError([Problem(where, f"is no place: {text!r}", "such as type=files,path=dead.jsonl")])
    made: dict[str, Any] = interpolate(found, where, problems)
    problems.raise_if_any()
    return made


def _pairs(text: str) -> dict[str, Any] | None:
    from ..dsl.files import NotReadable, read_yaml

    found: dict[str, Any] = {}
    for pair in re.split(r",(?=\s*[A-Za-z_]+=)", text):
        name, sign, value = pair.partition("=")
        if not sign:
            return None
        try:
            found[name.strip()] = read_yaml(value)
        except NotReadable:
            found[name.strip()] = value
    return found


def _moment(option: str, text: str | None) -> Any:
    from ..dlq.letter import moment

    if text is None:
        return None
    try:
        return moment(text)
    except ValueError:
        hint = "such as 2026-11-25T10:00:00Z, or 2h for two hours ago"
        raise PipelineError([Problem(Where.at(option), f"is no time: {text!r}", hint)]) from None


def _run(
    runner: Replay,
    chosen: _Chosen,
    settings: dict[str, Any],
    good: Sequence[tuple[str, Letter]],
    report: dict[str, Any],
) -> None:
    """Bring earlier replays to their end, then this one; the numbers of letters go to ``report`` as they are done."""
    from ..dlq.journal import Journal, JournalFailed

    with Journal(chosen.journal) as journal:
        for number, before in journal.unfinished():
            if before != settings:
                said = " ".join(f"--{name} {value}" for name, value in before.items() if value is not None)
                raise JournalFailed(
                    f"replay {number} was ended half-way and ran with {said}; run it with these once more, "
                    f"or give up what it had taken up: delete the journal {str(chosen.journal)!r}"
                )
            done = sum(runner.run(journal, number))
            report["resumed"] += done
            report["replayed"] += done
        taken = set() if not report["resumed"] else _keys(chosen)
        fresh = [(entry, letter) for entry, letter in good if (letter.id, letter.replays) not in taken]
        if fresh:
            number = journal.begin(settings, fresh)
            for done in runner.run(journal, number):
                report["replayed"] += done
        report["unfinished"] = bool(journal.unfinished())


def _keys(chosen: _Chosen) -> set[tuple[str, int]]:
    from ..dlq.journal import known

    return set(known(chosen.journal))


def _tell_replay(report: Mapping[str, Any], dry_run: bool, journal: Path) -> None:
    for each in report["refused"]:
        click.echo(
            redacted(f"{each['step']}: {_letters(each['letters'])} refused: {each['why']}; {each['hint']}"), err=True
        )
    if "error" in report:
        click.echo(report["error"], err=True)
    if dry_run:
        for entry, count in Counter(one["enters"] for one in report["would_replay"]).items():
            click.echo(f"{_letters(count)} would enter at {entry}")
        click.echo(f"{_letters(len(report['would_replay']))} would be replayed")
        return
    delivered = sum(report["delivered"].values())
    parts = [f"{_letters(report['replayed'])} replayed", f"{delivered} documents delivered"]
    if report["resumed"]:
        parts[0] += f" ({report['resumed']} of a replay that was ended half-way)"
    if report["dead_lettered"]:
        parts.append(f"{report['dead_lettered']} failed again and are dead letters again")
    if report["skipped"]:
        parts.append(f"{report['skipped']} skipped")
    click.echo("; ".join(parts))
    if report.get("unfinished"):
        click.echo("the replay was asked to end half-way; the next one goes on from here", err=True)
    click.echo(
        f"guarantee: {report['guarantee']['level']}: {report['guarantee']['reason']}; journal: {journal}", err=True
    )


def _refused(refused: Refused) -> dict[str, Any]:
    return {
        "letters": refused.letters,
        "step": refused.first.step,
        "first": refused.first.id,
        "why": refused.why,
        "hint": refused.hint,
    }


def _summary(letter: Letter, state: str) -> dict[str, Any]:
    return {
        "id": letter.id,
        "time": letter.time.isoformat() if letter.time else None,
        "step": letter.step,
        "error": dict(letter.error),
        "attempts": letter.attempts,
        "replays": letter.replays,
        "state": state,
        "place": letter.place,
    }


def _tell_others(found: Found) -> None:
    for place, reason in found.others[:5]:
        click.echo(redacted(f"{place}: {reason}"), err=True)
    if len(found.others) > 5:
        click.echo(f"and {len(found.others) - 5} more that are no letters", err=True)


def _letters(count: int) -> str:
    return "1 letter" if count == 1 else f"{count} letters"
