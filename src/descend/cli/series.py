"""What the verbs that make several runs share: the cost beforehand, and how far they are."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from descend.cli.output import say
from descend.units import duration

if TYPE_CHECKING:
    from descend.trials.arms import Arm, Outcome
    from descend.trials.executor import Told

Seeds = Annotated[
    int, typer.Option("--seeds", min=1, max=100, help="Runs of each, paired by seed.")
]
Match = Annotated[
    str, typer.Option("--match", metavar="tokens|seconds|steps|epoch", help="What is equal.")
]
Corpus = Annotated[
    str | None, typer.Argument(metavar="[CORPUS]", help="The text; left open: as in train.")
]
JudgedOn = Annotated[
    int,
    typer.Option(
        "--evaluation-tokens",
        min=1,
        metavar="N",
        help="Held-out text to judge on, at 4 bytes each.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, metavar="N", help="Runs at a time; left open: one a core."),
]


CROWDED = 1.2
"""Times as long as alone from which it is told."""


def typed(context: typer.Context, *but: str) -> str:
    """The command as it was typed; without `--json`, and without the flags in `but`, each of which
    has a value."""
    words, skip = ["descend"], False
    for word in context.obj or []:
        flag, equals, _ = word.partition("=")
        if not skip and word != "--json" and flag not in but:
            words.append(word)
        skip = not skip and not equals and flag in but
    return shlex.join(words)


def beside(crowd: float) -> str:
    """That other programs are at work, where they make it `crowd` times as long."""
    return f", beside other programs {crowd:.1f} times as long as alone" if crowd > CROWDED else ""


def announced(arms: Sequence[Arm], workers: int | None) -> Told:
    """Say what `arms` will cost; returns who is to be told of each that is done."""
    from descend.machine import crowding
    from descend.trials.executor import cached, worker_count
    from descend.trials.expense import estimate_each
    from descend.trials.on_ray import cluster
    from descend.trials.starting import start_seconds

    distinct = {arm.key: arm for arm in arms}
    total, address = len(distinct), cluster()
    # Before anything is timed: a cluster that cannot be had ends it here.
    count = worker_count([a for key, a in distinct.items() if cached(key) is None], workers)
    say("preparing the text, and timing a step or two")
    costs = estimate_each(arms)
    start = start_seconds() if count > 1 and not address else 0.0
    crowd = 1.0 if address else crowding(count)
    seconds = start + crowd * max(max(costs.values(), default=0.0), sum(costs.values()) / count)
    known = total - len(costs)
    say(
        f"{total} runs"
        + (f", {known} of them made before" if known else "")
        + f": about {duration(seconds)}, {count} at a time{beside(crowd)}"
        + (f" on the cluster {address}, if it is as fast as this machine; " if address else "; ")
        + "Ctrl-C stops, and the same command goes on from there"
    )
    began = time.perf_counter()
    done_cost = 0.0

    def told(done: int, of: int, arm: Arm, outcome: Outcome) -> None:
        nonlocal done_cost
        cost = costs.get(arm.key)
        if cost is None:
            return
        done_cost += cost
        training = max(time.perf_counter() - began - start, 0.0)
        left = (sum(costs.values()) - done_cost) * training / done_cost
        end = f"validation loss {outcome.validation_loss:.3f}"
        if outcome.diverged_at is not None:
            end = f"diverged at step {outcome.diverged_at}"
        say(f"{done} of {of} runs, about {duration(left)} left: {end}")

    return told
