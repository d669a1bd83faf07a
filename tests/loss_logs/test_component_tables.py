"""Tables with a loss for each component or head: spaCy's, Ultralytics', and MMDetection's lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from descend.errors import LogError
from descend.loss_logs.diagnose_log import diagnose_log
from descend.loss_logs.read_log import read_log

from .written_logs import train_points, written

SPACY = """\
ℹ Pipeline: ['tok2vec', 'ner']
ℹ Initial learn rate: 0.001
E    #       LOSS TOK2VEC  LOSS NER  ENTS_F  ENTS_P  ENTS_R  SCORE \n\
---  ------  ------------  --------  ------  ------  ------  ------
  0       0          0.00     37.33    0.00    0.00    0.00    0.00
  0     200         56.07   2113.08   55.43   59.27   52.06    0.55
  0     400        103.40   1423.33   66.58   70.79   62.84    0.67
  1     600        142.10   1205.31   72.10   74.44   69.90    0.72
  1     800        190.98   1177.42   74.50   75.98   73.08    0.75
✔ Saved pipeline to output directory
"""
WITHOUT_SCORE = "  {}     {}       9.00   {}    0.00    0.00    0.00    0.00\n"


def test_spacy_table_is_read_without_its_first_sum(tmp_path: Path) -> None:
    log = read_log(written(tmp_path, SPACY))
    expected = [(200, 2113.08), (400, 1423.33), (600, 1205.31), (800, 1177.42)]
    assert (log.unit, train_points(log)) == ("steps", expected)


def test_sums_of_spacy_are_no_bug(tmp_path: Path) -> None:
    answer = diagnose_log(written(tmp_path, SPACY))
    assert answer.normal.answer == "cannot tell"
    assert not any("score" in warning for warning in answer.warnings)


def test_scores_that_stay_at_zero_are_said(tmp_path: Path) -> None:
    head = SPACY.partition("  0       0")[0]
    rows = "".join(WITHOUT_SCORE.format(n, 200 * n, 17000 // n) for n in range(1, 10))
    answer = diagnose_log(written(tmp_path, head + rows))
    assert any("score on the development data is 0 in all 9" in w for w in answer.warnings)


def test_ultralytics_table_is_read_beside_its_bars(tmp_path: Path) -> None:
    text = "".join(
        "      Epoch    GPU_mem   box_loss   cls_loss   dfl_loss  Instances       Size\n"
        f"      {epoch}/55      9.95G      {loss}       5.07      2.977         12        640: "
        "100%|██████████| 787/787 [09:07<00:00,  1.44it/s]\n"
        "                 Class     Images  Instances      Box(P          R      mAP50: "
        "100%|██████████| 66/66 [00:34<00:00,  1.90it/s]\n"
        "                   all       1049       1186      0.929      0.872      0.933\n\n"
        for epoch, loss in [(1, 1.9), (2, 1.7), (3, 1.6)]
    )
    assert [loss for _, loss in train_points(read_log(written(tmp_path, text)))] == [1.9, 1.7, 1.6]


def test_whole_loss_of_a_detector_goes_before_those_of_its_heads(tmp_path: Path) -> None:
    text = "".join(
        f"2018-10-23 10:51:07,015 - INFO - Epoch [3][{step}/2500]     lr: 0.02000, time: 1.090, "
        f"loss_reg: 0.0096, acc: 99.0479, loss_cls: 0.0230, loss_rpn_cls: 0.0012, loss: {loss}\n"
        for step, loss in [(50, 0.0394), (100, 0.0403), (150, 0.0408)]
    )
    log = read_log(written(tmp_path, text))
    assert train_points(log) == [(50, 0.0394), (100, 0.0403), (150, 0.0408)]


def test_lines_of_boosted_trees_are_read(tmp_path: Path) -> None:
    values = [(0.419, 0.160), (0.468, 0.093), (0.523, 0.060), (0.565, 0.041), (0.597, 0.030)]
    xgboost = "".join(
        f"[{500 * n}]\teval-logloss:{a}\ttrain-logloss:{b}\n" for n, (a, b) in enumerate(values, 1)
    )
    lightgbm = "".join(
        f"[{500 * n}]\ttraining's binary_logloss: {b}\tvalid_1's binary_logloss: {a}\n"
        for n, (a, b) in enumerate(values, 1)
    )
    for text in (xgboost, lightgbm):
        log = read_log(written(tmp_path, text))
        assert [(e.validation_loss, e.train_loss) for e in log.entries] == values
        assert log.entries[0].position == 500


DETECTOR_HEADS = {"box": 0.054, "obj": 0.02, "cls": 0.01}


def detector_rows(lost: str, *, has_total: bool, epochs: int = 12) -> str:
    """The tables of YOLOv5 and v7, in which one head becomes nan in the second half."""
    columns = [*DETECTOR_HEADS, *(["total"] if has_total else [])]
    lines = []
    for epoch in range(epochs):
        values = {name: x * 0.97**epoch for name, x in DETECTOR_HEADS.items()}
        if epoch >= epochs // 2 and lost:
            values[lost] = float("nan")
        values["total"] = sum(values.values())
        cells = "".join(f"{values[name]:>10.4g}" for name in columns)
        lines += [
            "     Epoch   gpu_mem" + "".join(f"{name:>10}" for name in columns)
            + "    labels  img_size",
            f"{epoch:>6}/299     1.23G{cells}      1818       320: 100%|████| 729/729 [51:31<00:00,"
            "  4.24s/it]",
            "               Class      Images      Labels           P           R      mAP@.5  "
            "mAP@.5:.95: 100%|████| 41/41 [00:58<00:00,  1.43s/it]",
            "                 all       20987      129965       0.841       0.515       0.575 "
            "      0.310",
            "",
        ]  # fmt: skip
    return "\n".join(lines)


@pytest.mark.parametrize("has_total", [True, False])
@pytest.mark.parametrize("lost", ["box", "obj"])
def test_head_of_a_detector_that_becomes_nan_is_named_with_its_epoch(
    lost: str, has_total: bool, tmp_path: Path
) -> None:
    answer = diagnose_log(written(tmp_path, detector_rows(lost, has_total=has_total)))
    assert (answer.verdict, answer.normal.answer) == ("diverged", "no")
    assert answer.features is not None
    assert (answer.features.unit, answer.features.first_nonfinite) == ("epochs", 6)
    assert f"{lost}_loss is no number, first at epoch 6" in answer.warnings


@pytest.mark.parametrize("has_total", [True, False])
def test_sound_detector_is_read_by_its_whole_loss(has_total: bool, tmp_path: Path) -> None:
    log = read_log(written(tmp_path, detector_rows("", has_total=has_total)))
    assert [at for at, _ in train_points(log)] == list(range(12))
    assert train_points(log)[0][1] == pytest.approx(sum(DETECTOR_HEADS.values()))
    assert diagnose_log(written(tmp_path, detector_rows("", has_total=True))).verdict == "unknown"


def test_whole_loss_of_a_table_counts_where_it_is_no_number_and_a_term_is(tmp_path: Path) -> None:
    rows = [f"{n},{'nan' if n > 6 else 5 / n},0.2,{'nan' if n > 6 else 5 / n + 0.2}"
            for n in range(1, 12)]  # fmt: skip
    answer = diagnose_log(
        written(tmp_path, "\n".join(["step,loss_cls,loss_aux,loss", *rows]), "run.csv")
    )
    assert answer.verdict == "diverged"


def catboost_lines(metric: Callable[[int], float], *, has_test: bool = True) -> str:
    """The console of CatBoost, whose best value is the lowest of a loss and the highest of a
    score: `metric` is all that it tells."""
    values = [metric(n) for n in range(11)]
    best = min if values[-1] < values[0] else max
    lines = []
    for n, value in enumerate(values):
        test = f"\ttest: {value:.7f}\tbest: {best(values[: n + 1]):.7f} ({100 * n})"
        lines.append(
            f"{100 * n}:\tlearn: {value * 1.01:.7f}{test if has_test else ''}\ttotal: 4s\t"
            "remaining: 35.1s"
        )
    return "\n".join([*lines, "", f"bestTest = {values[-1]:.7f}", "bestIteration = 999"])


def test_catboost_is_read_where_its_best_value_falls(tmp_path: Path) -> None:
    path = written(tmp_path, catboost_lines(lambda n: 0.13 + 0.5 * 0.3**n))
    log = read_log(path)
    assert [e.position for e in log.entries] == [100 * n for n in range(11)]
    assert log.entries[0].validation_loss == pytest.approx(0.63)
    assert log.entries[0].train_loss == pytest.approx(0.6363)
    answer = diagnose_log(path)
    assert (answer.verdict, answer.normal.answer) == ("unknown", "cannot tell")


@pytest.mark.parametrize(
    ("has_test", "sentence"), [(True, "a score of CatBoost"), (False, "without a name")]
)
def test_catboost_metric_that_may_be_a_score_is_refused(
    has_test: bool, sentence: str, tmp_path: Path
) -> None:
    path = written(tmp_path, catboost_lines(lambda n: 0.9 - 0.3 * 0.5**n, has_test=has_test))
    with pytest.raises(LogError, match=sentence):
        read_log(path)
