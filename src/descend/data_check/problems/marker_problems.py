"""Problems of markers that stand in the texts themselves: no tokenizer is needed to see them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from descend.data_check.example_file import Example
from descend.data_check.marked_text import MarkerStyle, lacks_end, styles_of
from descend.data_check.problem_report import DataProblem

MIN_USUAL_FRACTION = 0.5
"""What over half of the texts do is the rule, and the others depart from it."""


def marked_examples(examples: Sequence[Example]) -> list[tuple[Example, str, list[MarkerStyle]]]:
    """Return the texts with markers that begin turns; none where most have no marker, since these
    texts may be about markers."""
    texts = [(e, e.text, styles_of(e.text)) for e in examples if e.text and not e.turns]
    marked = [one for one in texts if one[2]]
    return marked if len(marked) > MIN_USUAL_FRACTION * len(texts) else []


def mixed_templates(examples: Sequence[Example]) -> tuple[list[DataProblem], list[DataProblem]]:
    """Return texts whose turns are marked in another style than those of most, and texts that have
    markers of several styles, which may be about them."""
    marked = marked_examples(examples)
    names = Counter(styles[0].name for _, _, styles in marked)
    several = [(e.line, styles) for e, _, styles in marked if len(styles) > 1]
    remarks = [_mixed(
        [line for line, _ in several],
        f"markers of {' and '.join(style.name for style in several[0][1])} in the same text",
    )] if several else []  # fmt: skip
    if len(names) < 2:
        return [], remarks
    usual, count = names.most_common(1)[0]
    if count <= MIN_USUAL_FRACTION * len(marked):
        evidence = f"turns are marked in several styles: {', '.join(sorted(names))}"
        return [_mixed([e.line for e, _, _ in marked], evidence)], remarks
    others = [e.line for e, _, styles in marked if styles[0].name != usual]
    evidence = f"turns are marked as in {', '.join(sorted({*names} - {usual}))}, and most as in "
    return [_mixed(others, evidence + usual)], remarks


def _mixed(lines: list[int], evidence: str) -> DataProblem:
    return DataProblem(
        "template_markers_missing", evidence, lines,
        "write all texts with the chat template of the model",
    )  # fmt: skip


def ends_missing(examples: Sequence[Example]) -> list[DataProblem]:
    """Return texts in which a turn has no end, where most texts of the same style have all."""
    marked = marked_examples(examples)
    problems = []
    for name in sorted({styles[0].name for _, _, styles in marked}):
        texts = [(e, text, styles[0]) for e, text, styles in marked if styles[0].name == name]
        open_lines = [e.line for e, text, style in texts if lacks_end(text, style)]
        if not open_lines or len(texts) - len(open_lines) <= MIN_USUAL_FRACTION * len(texts):
            continue
        example, _, style = next(one for one in texts if one[0].line not in set(open_lines))
        end = style.end.findall(example.text or "")[-1]
        problems.append(DataProblem(
            "end_token_missing",
            f"a turn does not end with {end}, as in {len(texts) - len(open_lines):,} of "
            f"{len(texts):,} texts",
            open_lines, f"append {end} to these turns, or the model does not learn to stop",
        ))  # fmt: skip
    return problems
