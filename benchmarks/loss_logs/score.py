"""Scores `descend diagnose LOG` on a folder of logs with known answers.

    python benchmarks/loss_logs/score.py LOGS HALF [--record FILE] [--json]

`LOGS` holds `answers.json` and the folder `HALF` with the logs, which are not part of the
repository. The record holds counts only. The misses are printed.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from descend.errors import LogError
from descend.loss_logs.diagnose_log import LogDiagnosis, diagnose_log
from descend.loss_logs.log import LossLog
from descend.loss_logs.read_log import read_log

VERDICT_WORDS: dict[str, frozenset[str]] = {
    "healthy": frozenset({"healthy"}),
    "undertrained": frozenset({"undertrained"}),
    "diverged": frozenset({"diverged"}),
    "too_little_data": frozenset({"too little data"}),
    "learning_rate_too_high": frozenset({"learning rate too high"}),
    "learning_rate_too_low": frozenset({"learning rate too low"}),
    "bad_schedule": frozenset({"bad schedule"}),
    "broke_off": frozenset(),
    "unknown": frozenset(),
}
"""The words of the answers that each verdict says. `unknown` says none, so it is never right by
itself, and neither does `broke_off`, which is about the program. The answers also accept words
that no verdict says, such as `stuck` or `plateau`."""
NORMAL_WORD = "normal"
"""The word that `normal.answer` yes says, beside the word of the verdict."""
RELATIVE_TOLERANCE = 1e-6


@dataclass
class LogScore:
    """What was right of one log. `faults`: each miss in words."""

    name: str
    true_state: str
    verdict: str = ""
    normal: str = ""
    is_read: bool = False
    is_position_right: bool = False
    is_verdict_right: bool = False
    is_wrong_normal: bool = False
    says_missing_validation: bool = True
    faults: list[str] = field(default_factory=list)


def verdict_words(diagnosis: LogDiagnosis) -> frozenset[str]:
    """The words of the answers that a diagnosis says, from its two verdict fields alone."""
    words = VERDICT_WORDS[diagnosis.verdict]
    return words | {NORMAL_WORD} if diagnosis.normal.answer == "yes" else words


def score_log(path: Path, answer: dict[str, Any]) -> LogScore:
    """Score one log against its answer."""
    score = LogScore(path.name, answer["true_state"])
    try:
        log = read_log(path)
        diagnosis = diagnose_log(path)
    except LogError as error:
        score.faults.append(f"not read: {error}")
        return score
    score.is_read = True
    position_faults = compare_points(log, answer)
    score.is_position_right = not position_faults
    score.verdict, score.normal = diagnosis.verdict, diagnosis.normal.answer
    words = verdict_words(diagnosis)
    acceptable = {plain_word(w) for w in answer["acceptable"]}
    forbidden = {plain_word(w) for w in answer["must_not"]}
    score.is_verdict_right = bool(words & acceptable) and not words & forbidden
    score.is_wrong_normal = NORMAL_WORD in words and NORMAL_WORD in forbidden
    score.faults += position_faults
    if not score.is_verdict_right:
        score.faults.append(
            f"verdict {score.verdict} (normal: {score.normal}) for {score.true_state}: "
            f"{diagnosis.normal.reason}"
        )
    if "no_validation" in answer["traits"]:
        score.says_missing_validation = any("no validation" in w for w in diagnosis.warnings)
        if not score.says_missing_validation:
            score.faults.append("does not say that validation is missing")
    return score


def plain_word(word: str) -> str:
    """A verdict word without case and underscores."""
    return word.lower().replace("_", " ")


def compare_points(log: LossLog, answer: dict[str, Any]) -> list[str]:
    """What differs between the points read and the answer, in words."""
    training = [(e.position, e.train_loss) for e in log.entries if e.train_loss is not None]
    validation = [
        (e.position, e.validation_loss) for e in log.entries if e.validation_loss is not None
    ]
    faults = []
    for side, points in (("train", training), ("val", validation)):
        if not count_matches(len(points), answer[f"{side}_points"],
                             answer[f"{side}_points_also_right"]):  # fmt: skip
            faults.append(f"{len(points)} {side} points, expected {answer[f'{side}_points']}")
        for end, index in (("first", 0), ("last", -1)):
            expected = answer[f"{end}_{side}_loss"]
            if expected is not None and points and not same_loss(points[index][1], expected):
                faults.append(f"{end} {side} loss {points[index][1]:g}, expected {expected}")
    return faults + compare_positions(log, training, validation, answer)


def compare_positions(
    log: LossLog,
    training: Sequence[tuple[float, float]],
    validation: Sequence[tuple[float, float]],
    answer: dict[str, Any],
) -> list[str]:
    """What differs between the places read and the answer, in words."""
    if not training:
        return ["no training loss"]
    faults = []
    last = training[-1][0]
    expected = [answer["last_step"], answer["total_steps"], *answer["steps_also_right"]]
    # The answers give the total in other units: the last step is the same fraction of it.
    scale = answer["last_step"] / answer["total_steps"]
    expected += [scale * total for total in answer["steps_also_right"]]
    if not any(abs(last - step) < 0.5 for step in expected):
        faults.append(f"ends at {log.unit} {last:g}, expected {expected}")
    positions = [position for position, _ in training]
    if positions != sorted(set(positions)):
        faults.append("training positions do not rise")
    finite = [loss for _, loss in validation if math.isfinite(loss)]
    lowest = answer["min_val_loss"]
    if lowest is not None and finite and not same_loss(min(finite), lowest):
        faults.append(f"lowest val loss {min(finite):g}, expected {lowest}")
    if answer["train_points_finite"] < answer["train_points"]:
        number = next((n for n, (_, x) in enumerate(training, 1) if not math.isfinite(x)), None)
        if number != answer["first_bad_point"]:
            faults.append(f"first bad point {number}, expected {answer['first_bad_point']}")
    return faults


def count_matches(count: int, expected: int, alternatives: Sequence[int | str]) -> bool:
    """Whether a count of points is the expected one, or one of the alternatives (`5` or `3..9`)."""
    for alternative in (expected, *alternatives):
        low, _, high = str(alternative).partition("..")
        if int(low) <= count <= int(high or low):
            return True
    return False


def same_loss(value: float, expected: float | str) -> bool:
    """Whether a loss is the expected one, as printed."""
    if expected == "nan" or not math.isfinite(value):
        # A loss of exactly 0 after numbers is read as no number, since it is none.
        return not math.isfinite(value) and expected in ("nan", 0.0)
    return math.isclose(value, float(expected), rel_tol=RELATIVE_TOLERANCE, abs_tol=5e-7)


def summarize_scores(scores: Sequence[LogScore]) -> dict[str, Any]:
    """Counts over all logs."""
    return {
        "logs": len(scores),
        "read": sum(s.is_read for s in scores),
        "split_and_position_right": sum(s.is_position_right for s in scores),
        "verdict_right": sum(s.is_verdict_right for s in scores),
        "wrong_normal": sum(s.is_wrong_normal for s in scores),
        "cannot_tell": sum(s.normal == "cannot tell" for s in scores),
        "missing_validation_unsaid": sum(not s.says_missing_validation for s in scores),
    }


def main() -> int:
    """Score a half and print or record the counts."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("logs", type=Path, help="the folder with answers.json")
    parser.add_argument("half", help="the folder in it to score")
    parser.add_argument("--record", type=Path, help="where to write the counts as JSON")
    parser.add_argument("--json", action="store_true", help="print every score as JSON")
    arguments = parser.parse_args()
    answers = json.loads((arguments.logs / "answers.json").read_text(encoding="utf-8"))
    chosen = [a for a in answers if a["half"] == arguments.half]
    scores = [score_log(arguments.logs / a["file"], a) for a in chosen]
    summary = summarize_scores(scores)
    if arguments.json:
        print(json.dumps([asdict(s) for s in scores], indent=1))
    else:
        misses = {s.name: s.faults for s in scores if s.faults}
        print(json.dumps({**summary, "misses": misses}, indent=1))
    if arguments.record is not None:
        command = f"python benchmarks/loss_logs/score.py LOGS {arguments.half}"
        record = {"command": command, "half": arguments.half, **summary}
        arguments.record.parent.mkdir(parents=True, exist_ok=True)
        arguments.record.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
