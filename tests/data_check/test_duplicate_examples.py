"""Examples are duplicates where all that the model reads and answers is equal, in every format."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from descend.data_check.example_file import read_examples
from descend.data_check.problems.text_problems import duplicates, mixed_roles

Words = tuple[str, str, str]
FORMATS: dict[str, Callable[[Words], Any]] = {
    "alpaca": lambda w: {"instruction": w[0], "input": w[1], "output": w[2]},
    "pair": lambda w: {"system": w[0], "prompt": w[1], "completion": w[2]},
    "question": lambda w: {"question": w[0], "context": w[1], "answer": w[2]},
    "messages": lambda w: {"messages": [
        {"role": "system", "content": w[0]}, {"role": "user", "content": w[1]},
        {"role": "assistant", "content": w[2]},
    ]},
    "sharegpt": lambda w: {"system": w[0], "conversations": [
        {"from": "human", "value": w[1]}, {"from": "gpt", "value": w[2]},
    ]},
    "preference": lambda w: {"prompt": w[0], "chosen": w[1], "rejected": w[2]},
    "text": lambda w: {"text": f"{w[0]}|{w[1]}|{w[2]}"},
}  # fmt: skip
word = st.sampled_from(["", "red", "blue", "green", "one two"])
words = st.tuples(st.sampled_from(["sum up", "translate"]), word, word)


def write(folder: Path, records: list[Any]) -> Path:
    path = folder / "data.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(words, min_size=2, max_size=6))
def test_only_equal_examples_are_duplicates(tmp_path: Path, name: str, rows: list[Words]) -> None:
    if name == "preference":  # an empty or equal answer is another problem
        rows = [(a, b or "yes", "no") for a, b, _ in rows]
    file = read_examples(write(tmp_path, [FORMATS[name](row) for row in rows]))
    readable = {example.line for example in file.examples}
    first: set[Words] = set()
    again = []
    for line, row in enumerate(rows, 1):
        if line in readable:
            again += [line] if row in first else []
            first.add(row)
    reported = [line for problem in duplicates(file.examples) for line in problem.lines]
    assert reported == again


ROLES = {
    "answer": (["user", "assistant", "user", "user"], "give the answer the role assistant"),
    "only users": (["user", "user"], "give the answer the role assistant"),
    "swapped": (["assistant", "user"], "swap the roles"),
    "question": (["user", "assistant", "user"], "nothing answers it"),
    "joined": (["user", "user", "assistant"], "join these turns"),
    "greeting": (["assistant", "user", "assistant"], "begin with a turn of the user"),
}


@pytest.mark.parametrize("name", ROLES)
def test_the_order_of_roles_decides_the_advice(tmp_path: Path, name: str) -> None:
    roles, advice = ROLES[name]
    turns = [{"role": role, "content": f"turn {n}"} for n, role in enumerate(roles)]
    file = read_examples(write(tmp_path, [{"messages": turns}] * 3))
    (problem,) = mixed_roles(file.examples)
    assert advice in problem.fix
    assert problem.lines == [1, 2, 3]
