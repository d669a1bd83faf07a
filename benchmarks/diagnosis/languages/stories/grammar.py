"""Weighted grammars with memory: generate a text, score a text, know the entropy exactly.

A grammar is a context-free one whose texts may also *draw* a value from a table (a hero,
a weather) and *recall* it later in any of its forms (name, pronoun, favourite food). The
weights of a rule may depend on one variable, the `condition`; on nothing else.

Notation of a template: `[rule]` expands a rule, `{hero=}` draws a variable, `{hero}` and
`{hero.their}` recall it (`{hero.their=}` draws and shows that form), all else is literal.

Why the numbers are exact. A grammar in which `faults` finds none gives each text one
derivation only, so its probability is the product of the choices made. As structure depends
on no drawn value but the condition's, expectations are linear: given the condition, the
expected nats (bytes) of a rule are those of its own choice plus those of its parts.
"""

from __future__ import annotations

import bisect
import itertools
import math
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from languages.entropy_rate import EntropyRate


@dataclass(frozen=True, slots=True)
class Literal:
    """Text that stands as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Expand:
    """One of the alternatives of a rule."""

    rule: str


@dataclass(frozen=True, slots=True)
class Assign:
    """A value chosen from the variable's table, remembered, and shown in a form."""

    variable: str
    form: str


@dataclass(frozen=True, slots=True)
class Recall:
    """The remembered value, shown in a form."""

    variable: str
    form: str


Atom = Literal | Expand | Assign | Recall


@dataclass(frozen=True, slots=True)
class VariableTable:
    """The values of a variable: the forms of each, and their probabilities."""

    values: tuple[Mapping[str, str], ...]
    probabilities: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class GrammarRule:
    """Alternatives, and their probabilities for each value of the condition."""

    alternatives: tuple[tuple[Atom, ...], ...]
    probabilities: tuple[tuple[float, ...], ...]  # [value of the condition][alternative]


@dataclass(frozen=True, slots=True)
class Grammar:
    """Rules and tables; a text is one expansion of `start`."""

    rules: Mapping[str, GrammarRule]
    tables: Mapping[str, VariableTable]
    start: str
    condition: str


_SLOT = re.compile(r"\[([^\[\]]+)\]|\{(\w+)(?:\.(\w+))?(=?)\}")


def atoms(template: str) -> tuple[Atom, ...]:
    """Return a template's parts, in order."""
    parsed: list[Atom] = []
    end = 0
    for slot in _SLOT.finditer(template):
        if slot.start() > end:
            parsed.append(Literal(template[end : slot.start()]))
        rule, variable, form, draws = slot.groups()
        kind = Assign if draws else Recall
        parsed.append(Expand(rule) if rule else kind(variable, form or ""))
        end = slot.end()
    if end < len(template):
        parsed.append(Literal(template[end:]))
    return tuple(parsed)


def normalize(weights: list[float]) -> tuple[float, ...]:
    """Weights as probabilities."""
    total = math.fsum(weights)
    return tuple(weight / total for weight in weights)


def sample_text(grammar: Grammar, source: random.Random) -> tuple[str, float]:
    """Return a text and its exact negative log-probability in nats.

    Only `source.random()` is used: its sequence is the same in every version of Python.
    """
    text: list[str] = []
    memory: dict[str, int] = {}
    nats = 0.0
    todo: list[Atom] = [Expand(grammar.start)]

    def choose(probabilities: tuple[float, ...]) -> int:
        nonlocal nats
        steps = list(itertools.accumulate(probabilities))
        index = min(bisect.bisect_right(steps, source.random()), len(steps) - 1)
        nats -= math.log(probabilities[index])
        return index

    while todo:
        atom = todo.pop()
        match atom:
            case Literal(words):
                text.append(words)
            case Expand(name):
                rule = grammar.rules[name]
                alternative_index = choose(rule.probabilities[memory.get(grammar.condition, 0)])
                todo.extend(reversed(rule.alternatives[alternative_index]))
            case Assign(variable, form):
                memory[variable] = choose(grammar.tables[variable].probabilities)
                text.append(grammar.tables[variable].values[memory[variable]][form])
            case Recall(variable, form):
                text.append(grammar.tables[variable].values[memory[variable]][form])
    return "".join(text), nats


Todo = tuple[Atom, "Todo"] | None  # what is still to be matched: a linked list


def enumerate_derivations(grammar: Grammar, text: str) -> list[float]:
    """Nats of each way in which the grammar makes the text: empty if it does not.

    Written apart from `generate`, as its oracle: it tries every alternative at every place,
    so that a second derivation would be found.
    """
    surprisals: list[float] = []
    first: Todo = (Expand(grammar.start), None)
    states: list[tuple[int, Todo, dict[str, int], float]] = [(0, first, {}, 0.0)]
    while states:
        at, todo, memory, nats = states.pop()
        if todo is None:
            if at == len(text):
                surprisals.append(nats)
            continue
        atom, rest = todo
        match atom:
            case Literal(literal):
                if text.startswith(literal, at):
                    states.append((at + len(literal), rest, memory, nats))
            case Recall(variable, form):
                literal = grammar.tables[variable].values[memory[variable]][form]
                if text.startswith(literal, at):
                    states.append((at + len(literal), rest, memory, nats))
            case Assign(variable, form):
                table = grammar.tables[variable]
                for value, (forms, p) in enumerate(
                    zip(table.values, table.probabilities, strict=True)
                ):
                    if text.startswith(forms[form], at):
                        after = at + len(forms[form])
                        known = memory | {variable: value}
                        states.append((after, rest, known, nats - math.log(p)))
            case Expand(name):
                rule = grammar.rules[name]
                weights = rule.probabilities[memory.get(grammar.condition, 0)]
                for parts, p in zip(rule.alternatives, weights, strict=True):
                    if p:
                        states.append((at, _before(parts, rest), memory, nats - math.log(p)))
    return surprisals


def _before(parts: tuple[Atom, ...], rest: Todo) -> Todo:
    for atom in reversed(parts):
        rest = (atom, rest)
    return rest


def entropy(grammar: Grammar) -> EntropyRate:
    """Exact nats and bytes of a text, in expectation, from the grammar alone.

    For each value c of the condition, with E_r the expectations of rule r:
    E_r = sum_a p(a|c) [ -ln p(a|c) + sum over atoms of a ], solved as (I - M) E = own, M being
    the expected number of direct expansions of one rule in another; then averaged over p(c).
    A drawn value adds its table's entropy; it and its recalls add the table's mean length.
    """
    number = {name: i for i, name in enumerate(grammar.rules)}
    probabilities = grammar.tables[grammar.condition].probabilities
    nats = size = 0.0
    for c, p_c in enumerate(probabilities):
        inner = np.zeros((len(number), len(number)))
        own = np.zeros((len(number), 2))
        for name, rule in grammar.rules.items():
            i = number[name]
            for parts, p in zip(rule.alternatives, rule.probabilities[c], strict=True):
                if p == 0:
                    continue
                own[i, 0] -= p * math.log(p)
                for atom in parts:
                    if isinstance(atom, Expand):
                        inner[i, number[atom.rule]] += p
                    else:
                        own[i] += p * np.array(_own_of(grammar, atom, c))
        expected = np.linalg.solve(np.eye(len(number)) - inner, own)[number[grammar.start]]
        nats += p_c * float(expected[0])
        size += p_c * float(expected[1])
    return EntropyRate(nats_per_document=nats, bytes_per_document=size)


def _own_of(grammar: Grammar, atom: Literal | Assign | Recall, c: int) -> tuple[float, float]:
    """Expected nats and bytes of an atom, given the condition's value."""
    if isinstance(atom, Literal):
        return 0.0, len(atom.text.encode())
    table = grammar.tables[atom.variable]
    if atom.variable == grammar.condition:
        nats = -math.log(table.probabilities[c]) if isinstance(atom, Assign) else 0.0
        return nats, len(table.values[c][atom.form].encode())
    mean = math.fsum(
        p * len(forms[atom.form].encode())
        for forms, p in zip(table.values, table.probabilities, strict=True)
    )
    own = -math.fsum(p * math.log(p) for p in table.probabilities)
    return (own if isinstance(atom, Assign) else 0.0), mean


_TOKEN = re.compile(r"\w+|\s|[^\w\s]")


def find_ambiguities(grammar: Grammar) -> Iterator[str]:
    """Why a grammar's texts might have two derivations, or none; nothing if it is sound.

    Texts are read as tokens: words, single spaces, single marks. Two alternatives of a rule
    are walked side by side past atoms that are equal; where they first differ, the sets of
    tokens with which they can go on must be disjoint, and neither may end there. Then by
    induction the texts of each rule are prefix-free and derived in one way: whichever
    alternative was taken shows within the text itself. The same is asked of drawn forms.
    """
    for name, rule in grammar.rules.items():
        split = [_tokens(alternative) for alternative in rule.alternatives]
        for one, other in itertools.combinations(split, 2):
            if (clash := _clash(grammar, one, other)) is not None:
                yield f"rule {name}: alternatives {clash}"
        for alternative in rule.alternatives:
            yield from _joined_words(grammar, name, alternative)
            for atom in alternative:
                if isinstance(atom, Assign):
                    yield from _doubled_forms(grammar, atom)
    yield from _unbound(grammar)


def _tokens(alternative: tuple[Atom, ...]) -> list[Atom]:
    split: list[Atom] = []
    for atom in alternative:
        if isinstance(atom, Literal):
            split.extend(Literal(token) for token in _TOKEN.findall(atom.text))
        else:
            split.append(atom)
    return split


def _clash(grammar: Grammar, one: list[Atom], other: list[Atom]) -> str | None:
    for mine, yours in zip(one, other, strict=False):
        if mine == yours:
            continue
        both = _first(grammar, mine) & _first(grammar, yours)
        return f"{mine} and {yours} can both begin with {sorted(both)}" if both else None
    return f"end alike: {one[-3:]} and {other[-3:]}"


def _first(grammar: Grammar, atom: Atom) -> frozenset[str]:
    """Return the tokens that an atom's text can begin with, over all values and derivations."""
    match atom:
        case Literal(words):
            return frozenset(_TOKEN.findall(words)[:1])
        case Expand(name):
            parts = grammar.rules[name].alternatives
            return frozenset().union(*(_first(grammar, alternative[0]) for alternative in parts))
        case Assign(variable, form) | Recall(variable, form):
            values = grammar.tables[variable].values
            return frozenset(_TOKEN.findall(forms[form])[0] for forms in values)


def _joined_words(grammar: Grammar, name: str, alternative: tuple[Atom, ...]) -> Iterator[str]:
    """Neighbours whose letters would run into one token, or an alternative without text."""
    if not alternative:
        yield f"rule {name}: an alternative is empty"
    for left, right in itertools.pairwise(alternative):
        closed = isinstance(left, Literal) and not _is_word(left.text[-1])
        if not closed and any(_is_word(token[0]) for token in _first(grammar, right)):
            yield f"rule {name}: {left} and {right} stand without a space or mark between them"


def _is_word(letter: str) -> bool:
    return letter.isalnum() or letter == "_"


def _doubled_forms(grammar: Grammar, draw: Assign) -> Iterator[str]:
    """Values that the drawn form does not tell apart."""
    token_lists = [
        _TOKEN.findall(forms[draw.form]) for forms in grammar.tables[draw.variable].values
    ]
    for one, other in itertools.combinations(token_lists, 2):
        if all(mine == yours for mine, yours in zip(one, other, strict=False)):
            yield f"table {draw.variable}.{draw.form}: {one} begins like {other}"


def _conditional(rule: GrammarRule) -> bool:
    return len(set(rule.probabilities)) > 1


def _unbound(grammar: Grammar) -> Iterator[str]:
    """Recalls of what may not have been drawn; a condition that is drawn twice, or not."""
    problems: list[str] = []
    known: dict[tuple[str, frozenset[str]], frozenset[str] | None] = {}

    def after(rule: str, before: frozenset[str]) -> frozenset[str] | None:
        """What is surely drawn when the rule is done; None while that is being found out."""
        if (rule, before) in known:
            return known[rule, before]
        known[rule, before] = None
        ends = []
        for alternative in grammar.rules[rule].alternatives:
            drawn: frozenset[str] | None = before
            for atom in alternative:
                if drawn is None:
                    break
                if isinstance(atom, Expand):
                    if grammar.condition not in drawn and _conditional(grammar.rules[atom.rule]):
                        problems.append(f"rule {atom.rule}: weighed by what is not drawn yet")
                    drawn = after(atom.rule, drawn)
                elif isinstance(atom, Assign):
                    if atom.variable == grammar.condition and atom.variable in drawn:
                        problems.append(f"rule {rule}: the condition is drawn twice")
                    drawn |= {atom.variable}
                elif isinstance(atom, Recall) and atom.variable not in drawn:
                    problems.append(f"rule {rule}: {atom.variable} is recalled but not drawn")
            if drawn is not None:
                ends.append(drawn)
        known[rule, before] = frozenset.intersection(*ends) if ends else None
        return known[rule, before]

    if grammar.condition not in (after(grammar.start, frozenset()) or ()):
        problems.append("the condition is not always drawn")
    yield from problems
