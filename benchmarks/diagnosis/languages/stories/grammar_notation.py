"""Reads rules and tables from the plain notation in which our languages are written.

Rules: a name at the left margin, its alternatives indented below it, the likeliest first.
An alternative may begin with weights: `3 | text`, or `1 brave=6 shy=0.2 | text` where the
weight depends on the condition; without, the weight of rank r (from 0) is 1 / (r + 2):
skewed, as words are. A pilcrow stands for a blank line, any number of spaces for one.
Tables: the first line names the forms, each following one is a value, the likeliest first.
"""

from __future__ import annotations

from languages.stories.grammar import (
    Atom,
    Grammar,
    GrammarRule,
    VariableTable,
    atoms,
    normalize,
)

PRONOUNS = {
    "f": {"they": "she", "them": "her", "their": "her"},
    "m": {"they": "he", "them": "him", "their": "his"},
    "n": {"they": "it", "them": "it", "their": "its"},
}


def parse_table(notation: str) -> VariableTable:
    """Return a table; the first form is also the one without a name.

    Added to the written forms: `a`, `the` (the first form with its article) and, for each
    value with a `sex`, `they`, `them`, `their`; and each form with a capital, as `The`.
    """
    header, *lines = [line for line in notation.strip().splitlines() if line.strip()]
    names = [name.strip() for name in header.split("|")]
    values = []
    for line in lines:
        cells = [" ".join(cell.split()) for cell in line.split("|")]
        forms = dict(zip(names, cells, strict=True))
        forms |= PRONOUNS.get(forms.get("sex", ""), {})
        word = forms[names[0]]
        article = "an" if word[0] in "aeiou" else "a"
        forms |= {"": word, "a": f"{article} {word}", "the": f"the {word}"}
        forms |= {name.capitalize(): f[0].upper() + f[1:] for name, f in forms.items() if name}
        values.append(forms)
    return VariableTable(tuple(values), normalize([1 / (rank + 2) for rank in range(len(values))]))


def parse_grammar(rules: str, tables: dict[str, str], start: str, condition: str) -> Grammar:
    """Return a grammar from the notation above; `start` is a rule's name, `condition` a table's."""
    made = {name: parse_table(notation) for name, notation in tables.items()}
    values = [forms[""] for forms in made[condition].values]
    blocks: dict[str, list[str]] = {}
    name = ""
    for line in rules.splitlines():
        if line and not line[0].isspace():
            name = line.strip()
            blocks[name] = []
        elif line.strip():
            blocks[name].append(line.strip())
    return Grammar({name: _rule(lines, values) for name, lines in blocks.items()},
                   made, start, condition)  # fmt: skip


def _rule(lines: list[str], values: list[str]) -> GrammarRule:
    alternatives: list[tuple[Atom, ...]] = []
    weights: list[dict[str, float]] = []
    for rank, line in enumerate(lines):
        before, bar, template = line.rpartition(" | ")
        fields = before.split() if bar else []
        usual = float(fields[0]) if fields else 1 / (rank + 2)
        own = {name: float(weight) for name, weight in (word.split("=") for word in fields[1:])}
        weights.append(dict.fromkeys(values, usual) | own)
        alternatives.append(atoms(" ".join(template.split()).replace("¶", "\n\n")))
    chances = tuple(normalize([weight[value] for weight in weights]) for value in values)
    return GrammarRule(tuple(alternatives), chances)
