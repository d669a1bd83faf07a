"""A search: which trials it makes, what it ends, what it claims, and that it can be taken up."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import msgspec
import optuna
import pytest

from descend import search as library_search
from descend.artifacts import SEARCH_FILE
from descend.cli.main import run as descend
from descend.config import RunConfig, make_config
from descend.errors import ConfigError, MissingDependencyError, RunFolderError
from descend.experiments.estimate import to_loss_reduction
from descend.experiments.experiment_folder import read_record
from descend.experiments.json_output import search_fields
from descend.experiments.search import study as studies
from descend.experiments.search.pruning import loss_at, should_prune
from descend.experiments.search.search_plan import SearchBudget, SearchPlan
from descend.experiments.search.search_result import SearchResult, SearchTrial
from descend.experiments.search.search_trials import plan_search, run_search_trials
from descend.experiments.search.space import ChoiceParam, make_search_space, parse_over_flags
from descend.report.text.experiment_summary import few_trials_warning, summarize_search
from descend.report.text.search_summary import format_search
from descend.trials import trial as trials
from descend.trials.cached_trial import load_cached_result, run_trial
from descend.trials.trial_spec import EvalPoint, TrialResult

RATES = ["learning_rate=0.0001,0.001,0.004", "batch_size=4,8"]


def base(tiny: dict[str, object], **keys: Any) -> RunConfig:
    return make_config(tiny | {"epoch": 1} | keys)


def planned(
    tiny: dict[str, object], over: list[str], folder: Path | None = None, **terms: Any
) -> SearchPlan:
    config = base(tiny)
    default_terms: dict[str, Any] = {
        "minutes": 5.0, "budget_unit": "steps", "budget": 24, "seeds": 2,
        "evaluation_tokens": 1000, "workers": 1,
    }  # fmt: skip
    return plan_search(
        config,
        make_search_space(parse_over_flags(over), config),
        SearchBudget(**default_terms | terms),
        folder,
    )


@pytest.fixture(scope="module")
def search_result(
    text_file: Path, tmp_path_factory: pytest.TempPathFactory, own_cache: Path
) -> SearchResult:
    from tests.conftest import TINY

    folder = tmp_path_factory.mktemp("search")
    return run_search_trials(planned({"corpus_dir": str(text_file)} | TINY, RATES, folder))


def test_two_trials_are_called_no_search() -> None:
    assert "Only 2 trials fit into the time limit" in few_trials_warning(2, 100)
    assert few_trials_warning(2, 2) == few_trials_warning(3, 100) == ""


def test_search_returns_the_best_trial(search_result: SearchResult) -> None:
    # Six configurations are all there are: then it ends.
    assert len(search_result.trials) == 6
    assert len({repr(t.values) for t in search_result.trials}) == len(search_result.trials)
    assert search_result.trials[0].values == {"learning_rate": 0.001, "batch_size": 4}
    assert search_result.base_number == search_result.trials[0].number
    finished = [t for t in search_result.trials if t.state == "finished"]
    best = min(finished, key=lambda t: t.bits_per_byte or 9)
    assert best.number == search_result.best_number == search_result.ranking[0].number
    assert best.values["learning_rate"] == 0.004
    assert search_result.best["learning_rate"] == 0.004
    assert all(t.steps == 24 for t in finished)


def test_the_difference_comes_from_fresh_seeds(search_result: SearchResult) -> None:
    confirmation = search_result.confirmation
    assert confirmation is not None
    assert search_result.seed not in confirmation.seeds
    first, second = confirmation.arms
    assert first.config["learning_rate"] == 0.001
    assert second.config == search_result.best | {"seed": confirmation.seeds[0]}
    assert second.difference is not None
    reduction = to_loss_reduction(second.difference)
    sentence = summarize_search(search_result)
    assert f"loss reduction {reduction.value:+.3f} [95 % CI " in sentence
    claimed = {"better": "is significantly better than", "worse": "is significantly worse than",
               "not significant": "is not significantly different from"}  # fmt: skip
    assert f"{claimed[second.verdict]} the base" in sentence
    assert "2 new seeds" in sentence


def test_the_command_trains_the_best_one(search_result: SearchResult) -> None:
    words = shlex.split(search_result.train_command)
    assert words[:2] == ["descend", "train"]
    assert descend([*words[1:], "--save-dir", "best", "--log-level", "error"]) == 0
    text = Path("best/run.json").read_text()
    assert '"learning_rate":0.004' in text.replace(" ", "")
    assert '"max_steps":24' in text.replace(" ", "")


def test_search_result_is_saved_and_displayed(search_result: SearchResult) -> None:
    assert (
        msgspec.json.decode(msgspec.json.encode(search_result), type=SearchResult) == search_result
    )
    named = msgspec.structs.replace(search_result, sentence=summarize_search(search_result))
    text = format_search(named)
    assert search_result.train_command in text
    assert named.sentence in text
    first_row = text.splitlines()[2].split()
    assert first_row[:2] == ["1", "0.004"]
    study = optuna.load_study(storage=f"sqlite:///{search_result.study}", study_name=None)
    assert study.best_value == search_result.ranking[0].bits_per_byte


def test_search_resumes_without_repeating_trials(
    tiny: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(tiny, RATES, budget=6)
    study = studies.open_study(plan.file, plan.search_key, plan.budget)
    broken_off = studies.next_trial(study, plan.space)  # and the machine loses power
    first = run_search_trials(plan)
    assert first.trials[0].values == studies.values_of(broken_off, plan.space)
    assert broken_off.number not in {t.number for t in first.trials}

    def refuse(*_: object) -> TrialResult:
        raise AssertionError("trained again")

    monkeypatch.setattr(trials, "train_trial", refuse)
    again = run_search_trials(planned(tiny, RATES, budget=6))
    assert again.trials[: len(first.trials)] == first.trials
    assert summarize_search(again) == summarize_search(first)
    assert plan.file.parent.parent == Path("searches")


def test_the_base_may_be_the_best(tiny: dict[str, object]) -> None:
    result = run_search_trials(planned(tiny, ["learning_rate=0.00001,0.001"]))
    assert result.best_number == result.base_number
    assert result.confirmation is None
    assert "none was better than the base" in summarize_search(result)


@pytest.mark.parametrize("over", ["token_dropout=0.1..0.1000001", "learning_rate=0.002..0.0020001"])
def test_search_excludes_control_outside_search_space(tiny: dict[str, object], over: str) -> None:
    """A fraction of blanks that was left open, and a rate below the range; of such ranges one trial
    is all there is."""
    result = run_search_trials(planned(tiny, [over], budget=6))
    assert len(result.trials) == 1
    assert result.base_number is None
    assert result.confirmation is not None


def test_pruning_spares_trials_with_a_possible_win() -> None:
    # Four finished ones fell to 0.9, 0.9, 0.8 and 0.95 of what they had at half.
    finished = [{500: 3.0, 1000: 2.7}, {500: 2.5, 1000: 2.25}, {500: 3.0, 1000: 2.4},
                {500: 3.0, 1000: 2.85}]  # fmt: skip
    # The best ended at 2.25: at the largest gain, 0.8, one from 2.8 would end there as well.
    assert not should_prune({500: 2.8}, finished)
    assert not should_prune({500: 2.85}, finished)
    assert should_prune({500: 2.9}, finished)
    # Its last judgment counts; what is not finished does not; four are needed.
    assert not should_prune({400: 9.0, 500: 2.8}, finished)
    assert not should_prune({500: 2.9}, finished[:3])
    assert not should_prune({500: 2.9}, [*finished[:3], {500: 3.0, 800: 2.85}])
    # Early judgments are no reason.
    assert not should_prune({100: 9.0}, finished)
    assert should_prune({300: 9.0}, finished)


def test_between_two_judgments_a_loss_lies_in_proportion() -> None:
    curve = {200: 4.0, 600: 3.0, 1000: 2.0}
    places = (100, 200, 300, 600, 800, 1000)
    assert [loss_at(curve, p) for p in places] == [4.0, 4.0, 3.75, 3.0, 2.5, 2.0]


def test_study_prunes_by_its_pruner_when_a_trial_cannot_win(tiny: dict[str, object]) -> None:
    plan = planned(tiny, ["learning_rate=0.0001..0.1"])
    study = studies.open_study(plan.file, plan.search_key, plan.budget)
    for n in range(4):
        trial = studies.next_trial(study, plan.space)
        trial.report(3.0 + n, 500)
        trial.report(2.4 + n, 1000)
        study.tell(trial, 2.4 + n)
    for loss in (2.8, 9.0):
        trial = studies.next_trial(study, plan.space)
        point = EvalPoint(step=12, tokens=0, seconds=0.0, train_loss=loss, validation_loss=loss,
                          accuracy=0.0, bits_per_byte=loss)  # fmt: skip
        assert studies.report_and_check_pruning(trial, 24, point) is (loss > 3)


@pytest.mark.slow
def test_search_prunes_poor_trials(tiny: dict[str, object]) -> None:
    rates = ",".join(f"{n / 1000:g}" for n in range(1, 9))
    plan = planned(tiny, [f"learning_rate={rates},0.00001,0.00002"], budget=48)
    result = run_search_trials(plan)
    stopped = [t for t in result.trials if t.state == "stopped"]
    slow = [t for t in stopped if t.values["learning_rate"] < 0.0001]
    assert slow
    for one in slow:
        assert 0.3 <= one.evaluations[-1][0] < 1
        assert one.evaluations[-1][1] == one.bits_per_byte
        # Finished for itself it is far behind the best, as was foreseen.
        whole = run_trial(plan.make_spec(one.values))
        assert whole.steps == 48 > (one.steps or 0)
        assert whole.bits_per_byte > 2 * (result.ranking[0].bits_per_byte or 0)


def test_importance_ranks_the_decisive_key_first(tiny: dict[str, object]) -> None:
    plan = planned(tiny, ["learning_rate=0.0001..0.01", "dropout_rate=0..0.3"])
    study = studies.open_study(plan.file, plan.search_key, plan.budget)
    for n in range(studies.MIN_FOR_IMPORTANCE):
        assert studies.importance(study) == []
        trial = studies.next_trial(study, plan.space)
        if n % 3 == 2 and trial.params["learning_rate"] > 0.001:
            trial.report(9.0, 1)  # those that were ended count as well
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, trial.params["learning_rate"])
    weights = studies.importance(study)
    assert [w.key for w in weights] == ["learning_rate", "dropout_rate"]
    assert sum(w.fraction for w in weights) == pytest.approx(1)


def test_equal_seconds_are_shared_out(tiny: dict[str, object]) -> None:
    plan = planned(
        tiny, ["learning_rate=0.0001..0.01"], budget_unit="seconds", budget=None, minutes=2.0
    )
    # 24 runs of the base, four of them for the confirmation.
    assert plan.trial_seconds * 24 == pytest.approx(120, rel=0.02)
    assert plan.confirmation_seconds == pytest.approx(4 * plan.trial_seconds)
    assert plan.budget == pytest.approx(plan.training_seconds, rel=0.01)
    tokens = planned(
        tiny, ["learning_rate=0.0001..0.01"], budget_unit="tokens", budget=None, minutes=2.0
    )
    spec = tokens.make_spec({"learning_rate": 0.002})
    assert tokens.budget == pytest.approx((spec.steps or 0) * 64, abs=64)
    assert spec.config["seed"] == 42
    assert load_cached_result(spec.key) is None


def test_mistakes_get_one_clear_line(tiny: dict[str, object], tmp_path: Path) -> None:
    over = ["learning_rate=0.0001..0.01"]
    for terms, words in [
        ({"minutes": 0}, "minutes: expected .*, but found 0"),
        ({"minutes": float("nan")}, "minutes: expected .*, but found nan"),
        ({"minutes": 1e-4, "budget_unit": "seconds", "budget": None}, "less than a sensible trial"),
        ({"minutes": 0.01, "budget_unit": "seconds", "budget": 9}, "too few for two trials"),
        ({"budget_unit": "hours"}, "budget_unit: expected .*, but found hours"),
        ({"budget": -1}, "budget: expected .*, but found -1"),
        ({"budget": 1e-9, "budget_unit": "seconds"}, "less than a step"),
        ({"budget_unit": "epoch"}, "beside --budget-unit epoch"),
    ]:  # fmt: skip
        with pytest.raises(ConfigError, match=words):
            planned(tiny, over, **terms)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="Add --budget-unit epoch"):
        planned(tiny, ["epoch=1,2"])
    no_study = tmp_path / "other"
    no_study.mkdir()
    (no_study / studies.STUDY_FILE).write_text("no database")
    with pytest.raises(RunFolderError, match="no study of Optuna"):
        planned(tiny, over, no_study)
    optuna.create_study(storage=f"sqlite:///{tmp_path / studies.STUDY_FILE}", study_name="theirs")
    with pytest.raises(RunFolderError, match="without a study of descend"):
        planned(tiny, over, tmp_path)


def test_a_study_is_of_one_question(tiny: dict[str, object], tmp_path: Path) -> None:
    plan = planned(tiny, ["learning_rate=0.0001..0.01"], tmp_path)
    studies.open_study(plan.file, plan.search_key, plan.budget)
    with pytest.raises(RunFolderError, match="a search for something else"):
        planned(tiny, ["learning_rate=0.0001..0.02"], tmp_path)
    with pytest.raises(ConfigError, match="has 24"):
        planned(tiny, ["learning_rate=0.0001..0.01"], tmp_path, budget=30)
    # More time goes on with the budget it began with.
    longer = planned(tiny, ["learning_rate=0.0001..0.01"], tmp_path, budget=None, minutes=60.0)
    assert longer.budget == 24


def test_without_optuna_the_extra_is_named(
    tiny: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(MissingDependencyError, match=r"descend\[search\]"):
        planned(tiny, RATES)


def test_the_verb_and_the_library(
    tiny: dict[str, object], tiny_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["search", str(tiny["corpus_dir"]), "--config", str(tiny_file), "--budget-unit", "steps",
            "--budget", "20", "--space", "learning_rate=0.0001,0.003", "--num-seeds", "2",
            "--workers", "1", "--eval-tokens", "1000", "--save-dir", "here",
            "--json"]  # fmt: skip
    assert descend(line) == 0
    out, err = capsys.readouterr()
    result = read_record(Path("here"), SEARCH_FILE, SearchResult)
    printed = json.loads(out)
    assert {key: printed[key] for key in search_fields(result)} == json.loads(
        msgspec.json.encode(search_fields(result))
    )
    assert result.command == shlex.join(["descend", *line[:-1]])
    assert "in total:" in err
    assert "trial 1, about" in err
    assert "4 runs: about" in err
    assert descend([*line[:-1], "--minutes", "0"]) == 2
    assert capsys.readouterr().err.count("\n") <= 2
    same = library_search(
        make_config(tiny), over={"learning_rate": [0.0001, 0.003]}, match="steps", budget=20,
        seeds=2, workers=1, minutes=30, save_dir="there",
    )  # fmt: skip
    assert [t.values for t in same.trials] == [t.values for t in result.trials]
    assert same.best["learning_rate"] == result.best["learning_rate"] == 0.003


def test_one_trial_alone_is_compared_with_nothing() -> None:
    one = SearchTrial(
        number=0, values={"embed_dim": 16}, state="finished", bits_per_byte=2.0,
        validation_loss=4.0, accuracy=0.1, seconds=1.0, steps=3, parameters=1, diverged_step=None,
        failure_reason=None, evaluations=[],
    )  # fmt: skip

    def result(trials: list[SearchTrial]) -> SearchResult:
        return SearchResult(
            corpus="x", budget_unit="seconds", budget=20.0, minutes=1.0, minutes_used=1.0,
            space=[ChoiceParam(key="embed_dim", values=[16, 32])], seed=1, evaluation_tokens=9,
            base={}, trials=trials, base_number=0, best_number=0, best={}, importance=[],
            confirmation=None, train_command="", command="", study="",
        )  # fmt: skip

    assert summarize_search(result([one])) == (
        "Only 1 trial fit into the time limit. Use a larger --minutes or a smaller base."
    )
    assert "none was better" in summarize_search(result([one, one]))
