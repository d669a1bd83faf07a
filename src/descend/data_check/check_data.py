"""Checking a file of fine-tuning data: every problem is looked for, or the reason is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

from descend.data_check.chat_tokenizer import ChatTokenizer, load_chat_tokenizer
from descend.data_check.example_file import Example, ExampleFile, read_examples
from descend.data_check.problem_report import DataCheck, DataProblem, ProblemName, ProblemNotChecked
from descend.data_check.problems.answer_problems import (
    damaged_characters,
    empty_answers,
    truncated_answers,
)
from descend.data_check.problems.answer_variety import (
    AnswerGroups,
    contradicting_answers,
    few_examples,
    group_answers,
    uniform_answers,
)
from descend.data_check.problems.label_problems import contradicting_labels, uniform_labels
from descend.data_check.problems.length_problems import (
    answers_of_maximum_length,
    cut_without_tokenizer,
)
from descend.data_check.problems.marker_problems import ends_missing, mixed_templates
from descend.data_check.problems.template_problems import (
    Encoded,
    EncodedExamples,
    encode_examples,
    end_token_missing,
    labels_all_masked,
    length_outliers,
    refused_by_template,
    template_markers_missing,
)
from descend.data_check.problems.text_problems import (
    duplicates,
    labels_rarely_fit,
    mixed_roles,
    train_in_validation,
    unreadable_lines,
)

NO_TOKENIZER = "no tokenizer was given (--tokenizer FOLDER)"
NO_TEMPLATE = "the tokenizer has no chat template"
NO_CONVERSATION = "there is no conversation"
RATED = "all answers are rated, so that a prompt has several by intention"
UNLIKE_LABELS = (
    "most labels have another length than input_ids, which only an encoder with a decoder allows"
)


Finding = tuple[list[DataProblem], list[DataProblem]]
"""What is sure, and what may be meant so."""
Look = Callable[[Sequence[Example]], Finding]
LOOKS_AT_ANSWERS: tuple[tuple[ProblemName, Look], ...] = (
    ("truncated_answers", truncated_answers),
    ("empty_answers", empty_answers),
    ("contradicting_answers", contradicting_labels),
    ("uniform_answers", uniform_labels),
)
LOOKS_AT_GROUPS: tuple[tuple[ProblemName, Callable[[AnswerGroups], Finding]], ...] = (
    ("contradicting_answers", contradicting_answers),
    ("uniform_answers", uniform_answers),
    ("few_examples", few_examples),
)


def check_data(
    path: Path, tokenizer_folder: Path | None = None, validation: Path | None = None,
    max_length: int | None = None,
) -> DataCheck:  # fmt: skip
    """Check the examples in `path`.

    `max_length` is where training cuts, in tokens (left out: what the tokenizer states). Raises
    `CorpusError` for a file and `TokenizerError` for a tokenizer that cannot be read.
    """
    tokenizer = None if tokenizer_folder is None else load_chat_tokenizer(tokenizer_folder)
    file = read_examples(path)
    other = None if validation is None else read_examples(validation)
    remarks: list[DataProblem] = []
    results = _look_for_problems(file, tokenizer, other, max_length, remarks)
    only_remarks = {remark.problem for remark in remarks}
    problems = [p for result in results.values() if isinstance(result, list) for p in result]
    return DataCheck(
        str(path), len(file.examples), problems,
        [name for name, result in results.items() if result == [] and name not in only_remarks],
        [ProblemNotChecked(name, why) for name, why in results.items() if isinstance(why, str)],
        remarks, file.number,
    )  # fmt: skip


def _look_for_problems(
    file: ExampleFile, tokenizer: ChatTokenizer | None, validation: ExampleFile | None,
    max_length: int | None, remarks: list[DataProblem],
) -> dict[ProblemName, list[DataProblem] | str]:  # fmt: skip
    """Return what was found of each problem, or why it was not looked for; add `remarks`."""
    results: dict[ProblemName, list[DataProblem] | str] = {}
    unreadable = unreadable_lines(file)
    if not file.examples:
        for name in get_args(ProblemName):
            results[name] = "there is no example in the file"
        return results if not unreadable else results | {"unreadable_lines": unreadable}
    cannot_tell = labels_rarely_fit(file.examples)
    results["unreadable_lines"] = unreadable or (UNLIKE_LABELS if cannot_tell else [])
    has_turns = any(example.conversation for example in file.examples)
    refused: list[DataProblem] = []
    if tokenizer is None:
        results |= _look_without_tokenizer(file.examples, max_length, remarks)
    else:
        encoded = encode_examples(file.examples, tokenizer)
        refused = refused_by_template(encoded.refused)
        limit = max_length or tokenizer.max_length
        results |= _look_at_tokens(encoded, tokenizer, limit, remarks)
    results |= _look_at_answers(file.examples, has_turns, remarks)
    if has_turns:
        results["truncated_answers"] += answers_of_maximum_length(file.examples, tokenizer)  # type: ignore[operator]
    results["damaged_characters"] = (
        damaged_characters(file.examples)
        if any(example.turns or example.text for example in file.examples)
        else "there is no text"
    )
    results["duplicates"] = duplicates(file.examples, file.number)
    results["train_in_validation"] = (
        "no validation file was given (--validation FILE)"
        if validation is None
        else train_in_validation(file, validation)
    )
    results["mixed_roles"] = mixed_roles(file.examples) + refused if has_turns else NO_CONVERSATION
    return results


def _look_at_answers(
    examples: Sequence[Example], has_turns: bool, remarks: list[DataProblem]
) -> dict[ProblemName, list[DataProblem] | str]:
    """Return what was found of answers and labels, or why it was not looked for; add `remarks`."""
    results: dict[ProblemName, list[DataProblem] | str] = {}
    groups = group_answers(examples) if has_turns else None
    findings = [(name, look(examples)) for name, look in LOOKS_AT_ANSWERS]
    if groups is not None:
        findings += [(name, look(groups)) for name, look in LOOKS_AT_GROUPS]
    for name, (problems, uncertain) in findings:
        before = results.get(name, [])
        results[name] = [*before, *problems] if isinstance(before, list) else problems
        remarks += uncertain
    if groups is None:
        has_labels = any(example.label is not None for example in examples)
        about_labels = {"contradicting_answers", "uniform_answers"} if has_labels else set()
        names = {name for name, _ in (*LOOKS_AT_ANSWERS, *LOOKS_AT_GROUPS)} - about_labels
        results |= dict.fromkeys(names, NO_CONVERSATION)
    elif all(example.is_rated for example in examples) and not results["contradicting_answers"]:
        results["contradicting_answers"] = RATED
    return results


def _look_without_tokenizer(
    examples: Sequence[Example], max_length: int | None, remarks: list[DataProblem]
) -> dict[ProblemName, list[DataProblem] | str]:
    """Return what texts and token ids show by themselves; add `remarks`."""
    rows = tuple(Encoded(e, None, e.input_ids) for e in examples if e.input_ids is not None)
    labeled = tuple(row for row in rows if row.example.labels is not None)
    mixed, several = mixed_templates(examples)
    cut, may_be_cut = cut_without_tokenizer(examples, max_length)
    remarks += several + may_be_cut
    problems: dict[ProblemName, list[DataProblem]] = {
        "labels_all_masked": labels_all_masked(labeled, None, max_length),
        "template_markers_missing": mixed,
        "end_token_missing": ends_missing(examples),
        "length_outliers": length_outliers(rows, max_length) if rows else [],
    }
    complete: set[ProblemName] = set()
    if len(labeled) == len(examples):
        complete.add("labels_all_masked")
    if len(rows) == len(examples):
        complete.add("length_outliers")
    return {
        name: one if name in complete else [*one, *(p for p in cut if p.problem == name)]
        or NO_TOKENIZER
        for name, one in problems.items()
    }  # fmt: skip


def _look_at_tokens(
    encoded: EncodedExamples, tokenizer: ChatTokenizer, limit: int | None,
    remarks: list[DataProblem],
) -> dict[ProblemName, list[DataProblem] | str]:  # fmt: skip
    rows = encoded.encoded
    examples = [one.example for one in rows]
    has_turns = any(example.turns for example in examples)
    mixed, several = mixed_templates(examples)
    remarks += several
    has_labels = any(one.example.labels is not None for one in rows)
    looks: dict[ProblemName, tuple[bool, str, Callable[[], list[DataProblem]]]] = {
        "labels_all_masked": (
            has_turns or has_labels, "there are neither conversations nor labels",
            lambda: labels_all_masked(rows, tokenizer, limit),
        ),
        "template_markers_missing": (
            any(one.example.turns or one.example.text for one in rows), "there is no text",
            lambda: template_markers_missing(rows, tokenizer) + mixed,
        ),
        "end_token_missing": (
            not has_turns or tokenizer.template is not None, NO_TEMPLATE,
            lambda: end_token_missing(rows, tokenizer) + ends_missing(examples),
        ),
        "length_outliers": (bool(rows), "there is no text", lambda: length_outliers(rows, limit)),
    }  # fmt: skip
    return {name: look() if can_tell else why for name, (can_tell, why, look) in looks.items()}
