"""The course: eight sound lessons, and the rule that says which choice was right."""

from __future__ import annotations

import msgspec
import pytest

from descend.config import make_config
from descend.errors import ConfigError
from descend.handbook.explanation import explain_page
from descend.handbook.lesson import Lesson, arm_settings, load_lesson, load_lessons
from descend.handbook.lesson_results import LessonArmResult, choose_answer, describe_measurement

LESSONS = load_lessons()


def arm_result(label: str = "A", **values: float) -> LessonArmResult:
    fields = {
        "steps": 150, "seconds": 4.0, "parameters": 50_000, "first_loss": 6.2,
        "validation_loss": 3.0, "accuracy": 0.3, "bits_per_byte": 2.0, "rise": 0.0,
    } | values  # fmt: skip
    return msgspec.convert(fields | {"label": label, "run": "x"}, LessonArmResult, strict=False)


def test_load_lesson_takes_the_number_that_the_list_shows() -> None:
    assert load_lesson("7") == load_lesson("overfitting")


def test_lessons_are_eight_in_order() -> None:
    assert list(LESSONS) == [
        "model", "tokens", "loss", "rate", "size", "batch", "overfitting", "diagnosis",
    ]  # fmt: skip
    assert [lesson.number for lesson in LESSONS.values()] == list(range(1, 9))


@pytest.mark.parametrize("lesson", LESSONS.values(), ids=lambda lesson: lesson.name)
def test_lesson_has_a_choice_for_each_answer(lesson: Lesson) -> None:
    rule = lesson.answer
    if rule.kind == "range":
        assert rule.bounds == sorted(rule.bounds)
        assert len(lesson.choices) == len(rule.bounds) + 1
    else:
        compared = [arm.label for arm in lesson.arms[rule.first :]]
        assert len(lesson.choices) == len(compared) + 1
        assert rule.margin > 0
    assert "{" not in lesson.question


@pytest.mark.parametrize("lesson", LESSONS.values(), ids=lambda lesson: lesson.name)
def test_lesson_names_real_pages_and_settings(lesson: Lesson) -> None:
    for page in lesson.pages:
        assert explain_page(page).data["name"] == page
    for arm in lesson.arms:
        config = make_config(arm_settings(arm))
        assert config.max_steps is not None or config.epoch is not None


def test_arms_of_a_lesson_differ_in_one_thing() -> None:
    size = {"embed_dim", "num_heads", "num_layers", "ff_dim"}
    for lesson in LESSONS.values():
        control = lesson.arms[0].settings
        for arm in lesson.arms[1:]:
            changed = {
                key for key in control | arm.settings if control.get(key) != arm.settings.get(key)
            }
            one_thing = len(changed) == 1 or changed <= size
            assert one_thing or changed == {"batch_size", "seq_len"}, (lesson.name, arm.label)


def test_unknown_lesson_is_refused_with_the_names() -> None:
    with pytest.raises(ConfigError, match="Did you mean rate"):
        load_lesson("rat")


@pytest.mark.parametrize(("accuracy", "answer"), [(0.0, 0), (0.05, 1), (0.3, 2), (0.9, 3)])
def test_range_rule_picks_the_bounds_around_the_value(accuracy: float, answer: int) -> None:
    lesson = LESSONS["model"]
    arms = [arm_result(accuracy=accuracy)]
    assert choose_answer(lesson, arms) == answer
    assert f"{accuracy:.0%}" in describe_measurement(lesson, arms)


@pytest.mark.parametrize(
    ("losses", "answer"),
    [((5.0, 3.0, 6.0), 1), ((2.0, 3.0, 6.0), 0), ((3.0, 3.01, 6.0), 3), ((5, 3, 2.5), 2)],
)
def test_lowest_rule_picks_the_best_arm_or_a_tie(
    losses: tuple[float, ...], answer: int
) -> None:  # fmt: skip
    arms = [arm_result(label=f"arm {loss}", validation_loss=loss) for loss in losses]
    assert choose_answer(LESSONS["rate"], arms) == answer
    assert all(f"{loss:.2f}" in describe_measurement(LESSONS["rate"], arms) for loss in losses)


def test_control_of_the_last_lesson_is_no_choice() -> None:
    arms = [arm_result(validation_loss=loss) for loss in (1.0, 5.0, 3.0, 5.1)]
    assert choose_answer(LESSONS["diagnosis"], arms) == 1
