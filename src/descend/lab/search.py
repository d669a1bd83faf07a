"""The best configuration within ranges, by trials that learn from each other, and an honest test.

The best of many trials is best by luck as well: what it would gain is not what it showed when it
was chosen. So the best one and the base are trained again with seeds that had no part in the choice
(and another split of the text with each), and only that difference is claimed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from descend.config import RunConfig
from descend.errors import ConfigError, UserError
from descend.lab import study as studies
from descend.lab.arms import Contestant
from descend.lab.command import train_command
from descend.lab.compare import (
    Match,
    Plan,
    arm_for,
    check_budget,
    compare,
    plan_comparison,
)
from descend.lab.searched import Question, Search, Tried
from descend.lab.sentences import few_sentence, search_sentence
from descend.lab.space import Span, size_of, whole_of
from descend.lab.steering import HARDLY_MORE, Told, carry_out, silent
from descend.runs.folder import check_writable
from descend.text.corpus import find_corpus
from descend.trials.arms import OFTEN_EVALUATION_TOKENS, Arm, arm_of
from descend.trials.executor import Told as ToldOfRun
from descend.trials.executor import silent as silent_of_runs
from descend.trials.executor import workers_on
from descend.trials.starting import start_seconds
from descend.units import duration

LEAST_RUNS = 24
"""Whole runs that the time is divided into where no budget is given: what confirms the best one is
taken from them, and about twice as many trials as are left can be made, since half are ended early.
Fewer than Optuna's sampler wants to learn from would be a search at random."""

LEAST_STEPS = 20
"""Fewer updates are no training (as in `lab.plan`)."""

LEAST_TRIALS = 2
"""Trials that must fit in beside the confirmation: the base and another."""


@dataclass(frozen=True)
class Terms:
    """How long is searched, what is equal for all trials, and what is made of them."""

    minutes: float
    match: Match = "seconds"
    budget: float | None = None
    """Of what `match` says, for each trial; None: what `LEAST_RUNS` of them leave it, or what the
    study began with."""
    seeds: int = 3
    """Pairs of the confirmation."""
    evaluation_tokens: int = OFTEN_EVALUATION_TOKENS
    workers: int | None = None
    """Trials at a time; None: one a core."""

    def check(self, space: list[Span]) -> None:
        """`ConfigError` for what cannot be, whatever the text."""
        check_budget(self.budget, self.match)
        if not 0 < self.minutes < float("inf"):
            raise ConfigError("minutes", f"{self.minutes:g}", "a number above 0", "give some time")
        for span in space:
            if span.key in ("epoch", "max_steps") and self.match != "epoch":
                raise ConfigError("over", f"{span.key} with an equal number of {self.match}",
                                  "a budget that epochs decide", "add --match epoch")  # fmt: skip


@dataclass(frozen=True)
class SearchPlan:
    """What is searched, and what each trial costs here."""

    base: RunConfig
    space: list[Span]
    terms: Terms
    budget: float | None
    """As it was settled; None where epochs decide."""
    workers: int
    file: Path
    question: Question
    cost: float = 0.0
    """Seconds that one whole run of the base takes, its judgments with it."""
    training: float = 0.0
    """Seconds of training in it."""

    @property
    def confirming(self) -> float:
        """Seconds that the confirmation will take."""
        return -(-2 * self.terms.seeds // self.workers) * self.cost

    @property
    def starting(self) -> float:
        """Seconds until the workers can train; those of the confirmation are started anew."""
        return start_seconds() if self.workers > 1 else 0.0

    @property
    def for_runs(self) -> float:
        """Seconds in which something is trained."""
        return self.seconds - 2 * self.starting

    @property
    def seconds(self) -> float:
        """For all of it."""
        return 60 * self.terms.minutes

    def arm(self, values: Mapping[str, Any]) -> Arm:
        """The trial of `values`; `ConfigError` where they do not fit."""
        one = Contestant("a trial", whole_of(self.base, values), tuple(values))
        return arm_for(
            one, self.base.seed, match=self.terms.match, budget=self.budget, points=studies.POINTS,
            judged=self.terms.evaluation_tokens,
        )  # fmt: skip


def plan_search(
    base: RunConfig, space: list[Span], terms: Terms, folder: Path | None = None
) -> SearchPlan:
    """The search over `space` around `base`, kept in `folder`.

    `ConfigError` for bounds that cannot be or time for fewer than two trials; `RunFolderError` for
    a folder that holds something else.
    """
    terms.check(space)
    question = Question(
        fingerprint=find_corpus(base.corpus_dir).fingerprint, base=base.model_dump(mode="json"),
        space=space, match=terms.match, evaluation_tokens=terms.evaluation_tokens,
    )  # fmt: skip
    file = (folder or _folder_of(question)) / studies.FILE
    known = studies.known(file, question)
    budget = terms.budget
    if known is not None:
        if budget not in (None, known.budget):
            raise ConfigError(
                "budget", f"{budget:g}, where the study in {file.parent} has {known.budget:g}",
                "the budget it began with", "leave it out, or choose another save_dir",
            )  # fmt: skip
        budget = known.budget
    else:
        check_writable(file.parent)
    workers = workers_on({base.device}) if terms.workers is None else max(1, terms.workers)
    plan = SearchPlan(base, space, terms, budget, workers, file, question)
    return _costed(plan, begun=known is not None)


def _folder_of(question: Question) -> Path:
    """The same for the same question, so that the same command finds it again."""
    named = Path(question.base["corpus_dir"] or "python")
    return Path("searches") / f"{named.stem or 'text'}_{question.key[:8]}"


def _costed(plan: SearchPlan, begun: bool) -> SearchPlan:
    """`plan` with a budget, and with what a run of the base costs."""
    from descend.trials.expense import judging_seconds, measured_speed, training_seconds
    from descend.trials.trial import prepare

    arm = arm_of(plan.base, evaluation_tokens=plan.terms.evaluation_tokens)
    ready, speed = prepare(arm), measured_speed(arm)
    judging = studies.POINTS * judging_seconds(ready, speed)
    per_step = training_seconds(ready, speed, 1)
    least = LEAST_STEPS * per_step
    if plan.terms.match == "epoch":
        training = ready.steps * per_step
    elif plan.budget is None:
        training = plan.for_runs * plan.workers / LEAST_RUNS - judging
        if training < least:
            needed = ((least + judging) * LEAST_RUNS / plan.workers + 2 * plan.starting) / 60
            raise ConfigError(
                "minutes", f"{plan.terms.minutes:g}, less than a sensible trial needs",
                f"at least {needed:.2g}: {LEAST_RUNS} runs of {LEAST_STEPS} updates, judged",
                "give it more time, or a smaller base",
            )  # fmt: skip
        plan = replace(plan, budget=_budget(plan.terms.match, training, per_step, ready.config))
    else:
        training = plan.budget
        if plan.terms.match != "seconds":
            training *= per_step / _of_a_step(plan.terms.match, ready.config)
        if training < per_step:
            raise ConfigError(
                "budget", f"{plan.budget:g} {plan.terms.match}, less than a step of the base needs",
                f"at least {_budget(plan.terms.match, per_step, per_step, ready.config):g}",
                "give a larger budget",
            )  # fmt: skip
    plan = replace(plan, cost=training + judging, training=training)
    trials = LEAST_TRIALS * plan.cost / min(plan.workers, LEAST_TRIALS)
    needed = 2 * plan.starting + plan.confirming + trials
    if not begun and needed > plan.seconds * HARDLY_MORE:
        raise ConfigError(
            "minutes", f"{plan.terms.minutes:g}, too few for two trials and the confirmation",
            f"at least {needed / 60:.2g} with {duration(training)} of training each",
            "give it more time, a smaller budget or fewer seeds",
        )  # fmt: skip
    return plan


def _of_a_step(match: Match, config: RunConfig) -> float:
    return float(config.batch_size * config.seq_len) if match == "tokens" else 1.0


def _budget(match: Match, seconds: float, per_step: float, config: RunConfig) -> float:
    """What the base does in so many seconds, in the unit of `match`."""
    if match == "seconds":
        return float(f"{seconds:.3g}")
    return float(round(seconds / per_step * _of_a_step(match, config)))


def nobody(arms: list[Arm]) -> AbstractContextManager[ToldOfRun]:
    """The confirmation is not watched."""
    return nullcontext(silent_of_runs)


def search(
    plan: SearchPlan, *, command: str = "", told: Told = silent,
    confirming: Callable[[list[Arm]], AbstractContextManager[ToldOfRun]] = nobody,
) -> Search:  # fmt: skip
    """Carry `plan` out: the trials that time allows, then the confirmation.

    `told` hears of each trial; `confirming` is given the runs of the confirmation, and gives who is
    told of them while they are made. `UserError` if no trial came to its end.
    """
    study, used = carry_out(plan, told)
    tried = studies.tried_of(study, plan.space)
    finished = [t for t in tried if t.state == "finished"]
    if not finished:
        why = next((t.why for t in reversed(tried) if t.why), None)
        raise UserError(
            "search", f"no trial that was finished{f' ({why})' if why else ''}",
            "at least one", "give it more minutes or other ranges",
        )  # fmt: skip
    best = min(finished, key=lambda t: t.bits_per_byte or float("inf"))
    own = {s.key: _own(s, plan.question.base[s.key]) for s in plan.space}
    base = next((t for t in tried if t.values == own), None)
    config = whole_of(plan.base, best.values)
    confirmation = None
    if best.values != own:
        runs = _confirmation(plan, config)
        with confirming(runs.all_arms) as told_of_run:
            confirmation = compare(runs, workers=plan.workers, told=told_of_run)
    return Search(
        corpus=str(plan.base.corpus_dir or "python"), match=plan.terms.match, budget=plan.budget,
        minutes=plan.terms.minutes, minutes_used=used / 60, space=plan.space, seed=plan.base.seed,
        evaluation_tokens=plan.terms.evaluation_tokens, base=plan.question.base, tried=tried,
        base_number=None if base is None else base.number, best_number=best.number,
        best=config.model_dump(mode="json"), importance=studies.importance(study),
        confirmation=confirmation,
        sentence=search_sentence(tried, best, confirmation, plan.terms.match, plan.budget)
        + few_sentence(len(tried), size_of(plan.space)),
        train=_train(plan, config, best), command=command, study=str(plan.file),
    )  # fmt: skip


def _own(span: Span, value: Any) -> Any:
    """The base's value as trials are given theirs; as it is where `span` does not hold it, such as
    one that was left open: the nearest of `span` would be another run."""
    return span.readable(value) if span.holds(value) else value


def _confirmation(plan: SearchPlan, best: RunConfig) -> Plan:
    """Base and best with the seeds after that of the trials."""
    fresh = {"seed": plan.base.seed + 1}
    two = [
        Contestant("base", plan.base.model_copy(update=fresh), ()),
        Contestant("best", best.model_copy(update=fresh), tuple(s.key for s in plan.space)),
    ]
    terms = plan.terms
    return plan_comparison(
        two, match=terms.match, budget=plan.budget, seeds=terms.seeds, points=studies.POINTS,
        evaluation_tokens=terms.evaluation_tokens,
    )  # fmt: skip


def _train(plan: SearchPlan, config: RunConfig, best: Tried) -> str:
    values = config.model_dump(mode="json")
    if plan.terms.match != "epoch":
        values |= {"epoch": None, "max_steps": best.steps}
    return train_command(values, str(plan.base.corpus_dir or "python"))
