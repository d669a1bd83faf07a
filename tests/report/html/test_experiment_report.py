"""The report of a comparison and of an attribution, held against their records."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from descend.artifacts import ATTRIBUTION_FILE, COMPARISON_FILE
from descend.config import RunConfig
from descend.errors import RunFolderError
from descend.experiments.attribute.attribution_result import (
    Attribution,
    AttributionRun,
    ChangeContribution,
    Interaction,
)
from descend.experiments.compare.comparison_result import ArmResult, Comparison, SeedResult
from descend.experiments.estimate import Estimate
from descend.experiments.experiment_folder import write_record
from descend.report.html.attribution_report import attribution_report
from descend.report.html.comparison_report import comparison_report
from descend.report.html.report_page import Command, Figure, Paragraph, ReportPage, ReportTable
from descend.report.html.write import write_report
from descend.report.notebook.cards import comparison_card
from descend.report.text.experiment_tables import comparison_text, describe_method
from descend.trials.trial_spec import EvalPoint


def arm(name: str, loss: float, difference: Estimate | None, **keys: object) -> ArmResult:
    points = [
        EvalPoint(
            step=n,
            tokens=100 * n,
            seconds=1.0 * n,
            train_loss=loss,
            validation_loss=loss + 3 - n,
            accuracy=0.2,
            bits_per_byte=2.0,
        )
        for n in (1, 2, 3)
    ]
    run = SeedResult(
        seed=7,
        validation_loss=loss,
        accuracy=0.25,
        bits_per_byte=2.0,
        seconds=3.0,
        diverged_step=None,
        curve=points,
    )
    return ArmResult(
        name=name,
        config=RunConfig(**keys).model_dump(mode="json"),
        steps=30,
        tokens=300,  # type: ignore[arg-type]
        vocab_size=300,
        parameters=1234,
        memory=5_000_000,
        validation_loss=loss,
        accuracy=0.25,
        bits_per_byte=2.0,
        seconds=3.0,
        difference=difference,
        p=None if difference is None else 0.01,
        verdict="first" if difference is None else "better",
        seeds=[run],
    )


@pytest.fixture
def compared() -> Comparison:
    return Comparison(
        corpus="my/texts",
        budget_unit="tokens",
        budget=300.0,
        unit="nats per token",
        varied=["embed_dim"],
        seeds=[7],
        sentence="On equal tokens: 32 is better <b>.",
        arms=[
            arm("embed_dim=16", 4.0, None, embed_dim=16, epoch=2),
            arm("embed_dim=32", 3.5, Estimate(-0.5, (-0.6, -0.4)), embed_dim=32, epoch=2),
            arm("embed_dim=64", 3.4, Estimate(-0.6, None), embed_dim=64, epoch=2),
        ],
    )


@pytest.fixture
def attributed() -> Attribution:
    def share(key: str, value: float) -> ChangeContribution:
        return ChangeContribution(
            key=key,
            change=f"{key} 1 → 2",
            value=value,
            ci95=(value - 0.1, value + 0.1),
            p=0.0004 if value < 0 else 0.03,
            accuracy=Estimate(0.01, (0.0, 0.02)),
            seconds=Estimate(-2.0, None),
            effect_first=value,
            effect_last=None,
        )

    return Attribution(
        a="old",
        b="guide",
        corpus="my/texts",
        unit="nats per token",
        method="exact",
        seeds=[1],
        orders=0,
        train_fraction=1.0,
        evaluation_tokens=100,
        base={},
        total_difference=Estimate(-0.3, (-0.4, -0.2)),
        total_accuracy=Estimate(0.02, None),
        total_seconds=Estimate(4.0, None),
        contributions=[share("learning_rate", -0.4), share("batch_size", 0.1)],
        interactions=[Interaction(("learning_rate", "batch_size"), -0.05, 1, (-0.05, -0.05))],
        sentence="The rate did.",
        runs=[
            AttributionRun(
                seed=1,
                changed=[],
                validation_loss=4,
                bits_per_byte=2,
                accuracy=0.2,
                seconds=1,
                steps=3,
                tokens=9,
                diverged=False,
            )
        ],
    )


def table(page: ReportPage, caption: str) -> ReportTable:
    return next(
        b
        for s in page.sections
        for b in s.blocks
        if isinstance(b, ReportTable) and caption in b.caption
    )


def test_comparison_report_shows_intervals(compared: Comparison) -> None:
    page = comparison_report(compared, Path("comparisons/9"))
    assert page.lead == (compared.sentence,)
    assert (page.title, page.facts.facts[0].value) == ("9", "3.400")
    rows = {row[0]: row for row in table(page, "Each configuration").rows}
    assert rows["embed_dim=16"][1:4] == ("4.000", "–", "first")
    assert rows["embed_dim=32"][1:4] == ("3.500", "+0.500 (+0.400 to +0.600)", "better")
    assert rows["embed_dim=64"][2] == "+0.600"
    differences, curves = (b for s in page.sections for b in s.blocks if isinstance(b, Figure))
    whiskers = [
        s["data"] for s in differences.option["series"] if s["type"] == "line" and s["data"]
    ]
    assert whiskers == [[[0.4, 0], [0.6, 0]], [[0.6, 1], [0.6, 1]]]
    assert curves.option["series"][1]["data"] == [[100, 5.5], [200, 4.5], [300, 3.5]]
    assert table(page, "settings that differ").rows[1] == ("embed_dim=32", "32")
    assert ("epoch", "2", "not set") in table(page, "Settings of all configurations").rows


def test_a_notebook_shows_a_comparison(compared: Comparison) -> None:
    import descend.api

    assert descend.api.Comparison is Comparison
    html = compared._repr_html_()  # type: ignore[attr-defined]
    for part in ("32 is better &lt;b&gt;", "+0.500 (+0.400 to +0.600)", ">4.000<", ">2.000<",
                 ">5.0 MB<", ">better<"):  # fmt: skip
        assert part in html
    dots = [
        (float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', html)
    ]
    # The losses are 4.0, 3.5 and 3.4, from the first arm down; lower ones stand further left.
    assert [y for _, y in dots] == sorted({y for _, y in dots})
    assert [x / dots[0][0] for x, _ in dots] == pytest.approx([1, 0.1 / 0.6, 0], abs=0.01)
    drawn = re.findall(r"<text[^>]*>([^<]*)<", html)
    assert drawn == [*(a.name for a in compared.arms), "3.400", "4.000", "nats per token"]


def test_comparison_card_draws_values_and_escapes_names(compared: Comparison) -> None:
    first = compared.arms[0]
    seeds = [msgspec.structs.replace(first.seeds[0], bits_per_byte=b) for b in (2.0, 2.5)]
    hostile = msgspec.structs.replace(first, name="<b>" + 60 * "x", seeds=seeds)
    html = comparison_card(
        msgspec.structs.replace(compared, unit="bits per byte", arms=[hostile, *compared.arms[1:]])
    )
    assert ">2.500<" in html
    assert "<b>" not in html
    assert "xxx…<" in html
    # One value for all is drawn, not divided by.
    alike = msgspec.structs.replace(compared, arms=[first])
    assert 'cx="0.0"' in comparison_card(alike)


def test_a_notebook_shows_an_attribution(attributed: Attribution) -> None:
    import descend.api

    assert descend.api.Attribution is Attribution
    hostile = msgspec.structs.replace(attributed, sentence="The <b>rate</b> did.")
    html = hostile._repr_html_()  # type: ignore[attr-defined]
    for part in ("The &lt;b&gt;rate&lt;/b&gt; did.", ">+0.400 (+0.300 to +0.500)<", ">+0.300 (+0",
                 "1 run: all sets of changes, 1 seed", "+2.0 points",
                 "learning_rate with batch_size +0.050"):  # fmt: skip
        assert part in html
    assert html.index("learning_rate 1") < html.index("batch_size 1") < html.index("all of it")
    assert "<b>" not in html


def test_attribution_report_shows_contributions(attributed: Attribution) -> None:
    page = attribution_report(attributed, Path("a"))
    rate, batch, whole = table(page, "Each change").rows
    assert whole[:3] == ("all of it", "+0.300", "+0.200 to +0.400")
    assert page.title == "old → guide"
    assert table(page, "Every run").rows[0][:3] == ("1", "none: old", "4.000")
    assert rate[:4] == ("learning_rate 1 → 2", "+0.400", "+0.300 to +0.500", "under 0.001")
    assert (rate[4], batch[3]) == ("+0.400", "0.030")
    assert (batch[1], batch[5]) == ("-0.100", "–")
    (pair,) = table(page, "Pairs").rows
    assert pair == ("learning_rate", "batch_size", "+0.050", "1", "+0.050 to +0.050")
    (output,) = [b for s in page.sections if s.name == "together" for b in s.blocks
               if isinstance(b, Paragraph)]  # fmt: skip
    assert "Shapley interaction index" in output.text
    sampled = attribution_report(msgspec.structs.replace(attributed, method="sampled"), Path("a"))
    assert "estimated from the sampled orders" in str(sampled.sections)
    assert "significance is Holm-corrected for 2 changes" in str(page.sections)
    # A record made before the sets were counted and p-values kept is still shown.
    plain = msgspec.structs.replace(
        attributed,
        contributions=[msgspec.structs.replace(s, p=None) for s in attributed.contributions],
        interactions=[Interaction(("learning_rate", "batch_size"), -0.05)],
    )
    assert table(attribution_report(plain, Path("a")), "Each change").rows[0][3] == "–"
    assert "Holm" not in describe_method(plain)
    assert table(attribution_report(plain, Path("a")), "Pairs").rows[0][2:] == ("+0.050", "–", "–")


def test_the_folder_or_the_file_can_be_named(
    compared: Comparison, attributed: Attribution, own_folder: Path
) -> None:
    for name, record in ((COMPARISON_FILE, compared), (ATTRIBUTION_FILE, attributed)):
        folder = own_folder / name.removesuffix(".json")
        write_record(folder, name, record)
        by_folder, by_file = write_report(folder), write_report(folder / name)
        assert by_folder == by_file
        written = Path(by_folder.file).read_text(encoding="utf-8")
        assert Path(by_folder.file).parent == folder
        assert "<b>" not in written
        assert by_folder.warnings == []


def test_a_damaged_record_gets_one_sentence(own_folder: Path) -> None:
    (own_folder / COMPARISON_FILE).write_text(json.dumps({"arms": 1}))
    with pytest.raises(RunFolderError, match="cannot be read"):
        write_report(own_folder)


def test_report_ends_with_reproducing_command(compared: Comparison, tmp_path: Path) -> None:
    assert comparison_report(compared, tmp_path).sections[-1].name == "settings"
    again = msgspec.structs.replace(compared, command="descend compare 'my texts' --num-seeds 1")
    last = comparison_report(again, tmp_path).sections[-1]
    assert last.name == "again"
    assert [b.text for b in last.blocks if isinstance(b, Command)] == [again.command]


def test_trial_tables_show_accuracy_beside_the_bigram_baseline(compared: Comparison) -> None:
    arms = [msgspec.structs.replace(a, bigram_accuracy=0.3125) for a in compared.arms]
    known = msgspec.structs.replace(compared, arms=arms)
    assert "(bigram)" not in comparison_text(compared)
    for text in (comparison_text(known), comparison_card(known)):
        assert text.count("25.0% (31.2%)") == len(arms)
        assert "(bigram)" in text  # below "accuracy" where there is little room


def test_report_says_that_an_experiment_is_damaged_when_it_is_empty(
    compared: Comparison, attributed: Attribution, tmp_path: Path
) -> None:
    for name, record, key in (
        (COMPARISON_FILE, compared, "arms"), (ATTRIBUTION_FILE, attributed, "contributions"),
    ):  # fmt: skip
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text(json.dumps(msgspec.to_builtins(record) | {key: []}))
        with pytest.raises(RunFolderError, match="cannot be read"):
            write_report(folder)
