"""`descend search`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from descend.cli.flags import AsJson, ConfigFile, Preset, settings_from
from descend.cli.output import result, result_json, say
from descend.cli.series import Corpus, JudgedOn, Match, Workers, announced, beside, typed
from descend.trials.arms import OFTEN_EVALUATION_TOKENS
from descend.units import duration

if TYPE_CHECKING:
    from descend.lab.search import SearchPlan
    from descend.lab.steering import Heard


NO_TIME = "no time left for another"
"""Beside what confirms the best one, at the pace of the trials so far."""

Over = Annotated[
    list[str] | None,
    typer.Option(
        "--over",
        metavar="KEY=A..B",
        help="A range, or values KEY=A,B; repeatable. Left open: learning_rate, embed_dim, "
        "num_layers and batch_size.",
    ),
]


def search(
    context: typer.Context,
    values: dict[str, Any],
    corpus: Corpus = None,
    minutes: Annotated[
        float, typer.Option("--minutes", metavar="X", help="Time for all of it.")
    ] = 30.0,
    over: Over = None,
    match: Match = "seconds",
    budget: Annotated[
        float | None,
        typer.Option("--budget", help="So many of it for each trial; left open: by --minutes."),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option("--seeds", min=1, max=100, help="Fresh runs of base and best at the end."),
    ] = 3,
    evaluation_tokens: JudgedOn = OFTEN_EVALUATION_TOKENS,
    workers: Workers = None,
    config: ConfigFile = None,
    preset: Preset = None,
    save_dir: Annotated[
        Path | None, typer.Option("--save-dir", help="Left open: searches/, by what is asked.")
    ] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Search the best settings for a text in a given time.

    descend search my/texts --minutes 30

    descend search my/texts --over learning_rate=0.0003..0.01 --over embed_dim=128,256,512
    """
    from descend.lab.folder import write_record
    from descend.lab.search import Terms, plan_search
    from descend.lab.search import search as carry_out
    from descend.lab.space import DEFAULT_OVER, parse_over, space_of
    from descend.outputs import SEARCH
    from descend.report.searches import search_text

    text = {} if corpus is None else {"corpus_dir": corpus}
    base = settings_from(values | text, config, preset).config
    space = space_of(parse_over(over or DEFAULT_OVER), base)
    say("preparing the text, and timing a step or two")
    terms = Terms(
        minutes, match, budget, seeds, evaluation_tokens, workers  # type: ignore[arg-type]
    )  # fmt: skip
    plan = plan_search(base, space, terms, save_dir)
    say(_announcement(plan))
    found = carry_out(
        plan, command=typed(context), told=_heard,
        confirming=lambda arms: announced(arms, plan.workers),
    )  # fmt: skip
    write_record(plan.file.parent, SEARCH, found)
    if as_json:
        result_json(found)
    else:
        result(search_text(found))
    say(f"saved in {plan.file.parent}")


def _announcement(plan: SearchPlan) -> str:
    """What it will cost."""
    from descend.lab.search import LEAST_TRIALS
    from descend.machine import crowding

    crowd = crowding(plan.workers)
    searching = max(0.0, plan.for_runs - plan.confirming * crowd)
    trials = max(float(LEAST_TRIALS), searching * plan.workers / (plan.cost * crowd))
    spans = "; ".join(span.words for span in plan.space)
    return (
        f"searching {spans}\n"
        f"about {duration(plan.seconds)} in all: {trials:.0f} trials or more of "
        f"{duration(plan.training)} of training, {plan.workers} at a time{beside(crowd)}, "
        f"then base and best {plan.terms.seeds} times each with fresh seeds "
        f"({duration(plan.confirming)}); kept in "
        f"{plan.file.parent}; Ctrl-C stops, and the same command goes on from there"
    )


def _heard(heard: Heard) -> None:
    from descend.lab.sentences import value_word

    values = ", ".join(f"{key} {value_word(value)}" for key, value in heard.values.items())
    if heard.why is not None:
        end = f"cannot be tried ({heard.why.rstrip('.')})"
    else:
        end = f"{heard.bits_per_byte:.3f} bits per byte" + (
            ", ended early" if heard.stopped else ""
        )
    best = "" if heard.best is None else f"; best {heard.best:.3f}"
    left = f"about {duration(heard.seconds_left)} left" if heard.seconds_left else NO_TIME
    say(f"trial {heard.done}, {left}: {values}: {end}{best}")
