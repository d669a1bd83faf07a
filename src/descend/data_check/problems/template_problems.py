"""Problems that show once the chat template was applied: masks, markers, ends, and lengths."""

from __future__ import annotations

import math
import re
import statistics
from collections import defaultdict
from dataclasses import dataclass

from descend.data_check.chat_tokenizer import ChatTokenizer, Rendered, TemplateRefusedError
from descend.data_check.example_file import Example
from descend.data_check.problem_report import DataProblem

IGNORE_INDEX = -100
"""The label that torch's cross_entropy leaves out."""

MAX_MAD = 6.0
MIN_RATIO = 4.0
"""An outlier is over 6 scaled median absolute deviations of the logarithm from the median length,
and over four times as long: the first alone would flag half of a file of equal lengths."""
MAD_TO_STD = 1.4826
"""Of a normal distribution."""
MIN_EXAMPLES = 20
"""Fewer lengths show no outlier."""

FOREIGN_MARKERS = re.compile(
    r"<\|(?:im_start|im_end|eot_id|start_header_id|end_header_id|user|assistant|system|end)\|>"
    r"|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>"
)
"""Markers of the templates of ChatML, Llama 2 and 3, Phi, Zephyr, Mistral, and Gemma."""


@dataclass(frozen=True)
class Encoded:
    """An example as it is trained on."""

    example: Example
    rendered: Rendered | None
    """None for a text and for token ids."""
    ids: tuple[int, ...]


@dataclass(frozen=True)
class EncodedExamples:
    """All examples, those that the template refuses apart."""

    encoded: tuple[Encoded, ...]
    refused: tuple[tuple[int, str], ...]
    """Line, and the words of the template."""


def encode_examples(examples: tuple[Example, ...], tokenizer: ChatTokenizer) -> EncodedExamples:
    """Apply template and tokenizer to all examples."""
    encoded, refused = [], []
    for example in examples:
        rendered = None
        if example.input_ids is not None:
            ids = example.input_ids
        elif not example.turns:
            ids = tuple(tokenizer.encode(example.text or ""))
        elif tokenizer.template is None:
            ids = tuple(tokenizer.encode("\n".join(said for _, said in example.turns)))
        else:
            try:
                rendered = tokenizer.render(example.turns)
            except TemplateRefusedError as problem:
                refused.append((example.line, str(problem)))
                continue
            ids = tuple(tokenizer.encode(rendered.text))
        encoded.append(Encoded(example, rendered, ids))
    return EncodedExamples(tuple(encoded), tuple(refused))


def labels_all_masked(
    encoded: tuple[Encoded, ...], tokenizer: ChatTokenizer | None, max_length: int | None
) -> list[DataProblem]:
    """Return examples without a single label that counts."""
    masked, no_answer, cut = [], [], []
    for one in encoded:
        example = one.example
        if example.labels is not None:
            if all(label == IGNORE_INDEX for label in example.labels):
                masked.append(example.line)
        elif example.turns:
            if not any(answer.strip() for answer in example.answers):
                no_answer.append(example.line)
            elif (
                tokenizer and max_length and one.rendered and one.rendered.answers
                and len(one.ids) > max_length
            ):  # fmt: skip
                before = one.rendered.text[: one.rendered.answers[0][0]]
                if len(tokenizer.encode(before)) >= max_length:
                    cut.append(example.line)
    return [
        DataProblem("labels_all_masked", evidence, lines, fix)
        for lines, evidence, fix in (
            (masked, f"all labels are {IGNORE_INDEX}",
             "check how the labels are made: the text that marks an answer was not found"),
            (no_answer, "no turn of the assistant says anything", "remove these examples"),
            (cut, f"the first answer begins after token {max_length}, where training cuts",
             "shorten the prompts, or raise the maximum length"),
        )
        if lines
    ]  # fmt: skip


def template_markers_missing(
    encoded: tuple[Encoded, ...], tokenizer: ChatTokenizer
) -> list[DataProblem]:
    """Return texts that look like conversations in another template, and turns that the template
    drops."""
    foreign: dict[str, set[str]] = defaultdict(set)
    lines: dict[str, list[int]] = defaultdict(list)
    dropped: dict[str, list[int]] = defaultdict(list)
    for one in encoded:
        said = one.example.text or "\n".join(said for _, said in one.example.turns)
        markers = set(FOREIGN_MARKERS.findall(said))
        where = "stand in a turn" if one.example.turns else "are no tokens of this tokenizer"
        if not one.example.turns:
            markers -= tokenizer.markers
        if markers:
            foreign[where] |= markers
            lines[where].append(one.example.line)
        if one.rendered is not None:
            for role, content in one.example.turns:
                if content.strip() and content.strip() not in one.rendered.text:
                    dropped[role].append(one.example.line)
    problems = [
        DataProblem(
            "template_markers_missing",
            f"markers of a template {where}: {', '.join(sorted(markers))}", lines[where],
            "remove the markers, and let the chat template of this tokenizer write its own",
        )
        for where, markers in sorted(foreign.items())
    ]  # fmt: skip
    return problems + [
        DataProblem(
            "template_markers_missing", f"the chat template leaves out turns of {role}",
            sorted(set(numbers)), "use the roles that the template knows",
        )
        for role, numbers in sorted(dropped.items())
    ]  # fmt: skip


def end_token_missing(encoded: tuple[Encoded, ...], tokenizer: ChatTokenizer) -> list[DataProblem]:
    """Return examples whose last answer is followed by no token that ends it."""
    eos_id = None if tokenizer.eos_token is None else (
        tokenizer.backend.token_to_id(tokenizer.eos_token)
    )  # fmt: skip
    by_template, by_text, by_ids = [], [], []
    for one in encoded:
        line = one.example.line
        if one.rendered is not None and one.rendered.answers:
            start, _ = one.rendered.answers[-1]
            said = one.example.answers[-1].strip()
            after = one.rendered.text[one.rendered.text.rfind(said, start) + len(said) :]
            if not any(marker in after for marker in tokenizer.markers):
                by_template.append(line)
        elif one.example.input_ids is not None:
            if eos_id is not None and eos_id not in one.ids[-2:]:
                by_ids.append(line)
        elif one.example.text is not None:
            marked = [m for m in tokenizer.markers if m in one.example.text]
            ending = one.example.text.rstrip()
            if marked and not any(ending.endswith(m) for m in tokenizer.markers):
                by_text.append(line)
    eos = tokenizer.eos_token
    return [
        DataProblem("end_token_missing", evidence, lines, fix)
        for lines, evidence, fix in (
            (by_template, "the chat template writes no special token after the last answer",
             f"have the template write {eos or 'the end token'} after each answer"),
            (by_text, "the text has markers of the template, and does not end with one",
             f"append {eos or 'the end token'} to these texts"),
            (by_ids, f"input_ids do not end with {eos} ({eos_id})", f"append token {eos_id}"),
        )
        if lines
    ]  # fmt: skip


def length_outliers(encoded: tuple[Encoded, ...], max_length: int | None) -> list[DataProblem]:
    """Return examples over the maximum length, and those far longer than the others."""
    lengths = {one.example.line: max(1, len(one.ids)) for one in encoded}
    problems = []
    if max_length and (over := [line for line, n in lengths.items() if n > max_length]):
        max_tokens = max(lengths.values())
        problems.append(DataProblem(
            "length_outliers",
            f"over {max_length:,} tokens, where training cuts, and up to {max_tokens:,}", over,
            "shorten or split these examples, or raise the maximum length",
        ))  # fmt: skip
    if len(lengths) < MIN_EXAMPLES:
        return problems
    logs = [math.log(n) for n in lengths.values()]
    center = statistics.median(logs)
    spread = MAD_TO_STD * statistics.median(abs(x - center) for x in logs)
    limit = math.exp(max(center + MAX_MAD * spread, center + math.log(MIN_RATIO)))
    far = [n for n, tokens in lengths.items() if limit < tokens <= (max_length or math.inf)]
    if far:
        problems.append(DataProblem(
            "length_outliers",
            f"over {limit:,.0f} tokens, and the median is {math.exp(center):,.0f}", far,
            "look at these examples: they may be several in one, or not what they should be",
        ))  # fmt: skip
    return problems


def refused_by_template(refused: tuple[tuple[int, str], ...]) -> list[DataProblem]:
    """Conversations that the template does not accept."""
    by_reason: dict[str, list[int]] = defaultdict(list)
    for line, reason in refused:
        by_reason[reason].append(line)
    return [
        DataProblem(
            "mixed_roles", f"the chat template refuses them: {reason}", lines,
            "bring the turns into the order that the template asks for",
        )
        for reason, lines in by_reason.items()
    ]  # fmt: skip
