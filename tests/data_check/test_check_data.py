"""Planted problems of fine-tuning data are found with their lines, and sound data passes."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from descend.cli.main import run as run_command
from descend.data_check.chat_tokenizer import load_chat_tokenizer
from descend.data_check.check_data import UNLIKE_LABELS, check_data
from descend.data_check.problem_report import DataCheck, ProblemName
from descend.data_check.problems.length_problems import is_pile
from descend.errors import CorpusError, TokenizerError
from descend.report.text.data_check import format_data_check

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content']"
    " + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
ALTERNATING = (
    "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant') }}{% endif %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% else %}{{ message['content'] + '</s>' }}{% endif %}{% endfor %}"
)
NO_END = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' +"
    " message['content'] + '\\n' }}{% endfor %}"
)
WORDS = ["amber", "birch", "cedar", "delta", "ember", "frost", "grove", "hazel", "iris", "jade"]


def make_tokenizer(folder: Path, template: str | None = CHATML, **settings: Any) -> Path:
    """A byte-level tokenizer with the markers of ChatML."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    fast = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    fast.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    markers = ["<|im_start|>", "<|im_end|>", "</s>"]
    fast.add_special_tokens([AddedToken(marker, special=True) for marker in markers])
    folder.mkdir()
    fast.save(str(folder / "tokenizer.json"))
    config = {"eos_token": "<|im_end|>", "model_max_length": 2000, **settings}
    if template is not None:
        config["chat_template"] = template
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    return make_tokenizer(tmp_path / "tokenizer")


def chat(*said: str, roles: tuple[str, ...] = ("user", "assistant")) -> dict[str, Any]:
    return {
        "messages": [
            {"role": roles[n % len(roles)], "content": text} for n, text in enumerate(said)
        ]
    }


def sound_records(count: int = 60, seed: int = 1) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    return [
        chat(
            f"Tell me about {' '.join(rng.choices(WORDS, k=4))} number {n}.",
            f"It is a fine {' '.join(rng.choices(WORDS, k=rng.randint(9, 14)))} of kind {n}.",
        )
        for n in range(count)
    ]


def write(folder: Path, records: list[Any], name: str = "data.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def lines_of(check: DataCheck, name: ProblemName) -> list[int]:
    return sorted({line for p in check.problems if p.problem == name for line in p.lines})


def test_sound_data_has_no_problem(tmp_path: Path, tokenizer: Path) -> None:
    train = write(tmp_path, sound_records())
    validation = write(tmp_path, sound_records(10, seed=2), "validation.jsonl")
    check = check_data(train, tokenizer, validation)
    assert check.problems == []
    assert check.not_checked == []
    assert (len(check.checked), check.num_examples, check.exit_code) == (14, 60, 0)


PLANTED: list[tuple[ProblemName, Any, str]] = [
    ("labels_all_masked", {"input_ids": [1, 2, 257], "labels": [-100] * 3}, "all labels are -100"),
    ("labels_all_masked", chat("Say nothing.", ""), "no turn of the assistant says anything"),
    ("labels_all_masked", chat("word " * 500, "Yes."), "begins after token 2000"),
    ("template_markers_missing", {"text": "[INST] Hi [/INST] Hello there."}, "[INST]"),
    ("template_markers_missing", chat("Hi", "<|im_start|>assistant\nHello."), "stand in a turn"),
    ("end_token_missing", {"text": "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHo"},
     "does not end with one"),
    ("end_token_missing", {"input_ids": [1, 2, 3], "labels": [1, 2, 3]}, "do not end with"),
    ("truncated_answers", chat("Why?", "It is so since the wind blew hard all night and the"),
     "stop within a sentence"),
    ("truncated_answers", chat("Why?", "In short, to put a model into use on a server involves"),
     "stop within a sentence"),
    ("truncated_answers", chat("How?", "Run this:\n```python\nfor n in range(3):\n print(n) # n"),
     "block of code"),
    ("empty_answers", chat("Why?", "So.", "And?", " "), "the answer is empty"),
    ("empty_answers", {"instruction": "Why?", "input": "", "output": ""}, "the answer is empty"),
    ("empty_answers", {"prompt": "Why?", "completion": None}, "the answer is empty"),
    ("empty_answers", chat("Why?", "<noinput>"), "“<noinput>”"),
    ("damaged_characters", chat("Why?", "It donâ€™t rain."), "“donâ€™t” for “don’t”"),
    ("damaged_characters", chat("Why?", "A cafÃ© is near."), "“cafÃ©” for “café”"),
    ("damaged_characters", {"text": "Ð¿Ñ€Ð¸Ð²ÐµÑ‚ to all.<|im_end|>"}, "“привет”"),
    ("damaged_characters", chat("In zÅ‚oty?", "Ten."), "“złoty?”"),
    ("damaged_characters", chat("How hot?", "It is 20 Â°C."), "“°C.”"),
    ("damaged_characters", chat("Good?", "Yes ðŸ˜€."), "“😀.”"),
    ("damaged_characters", chat("Why?", "It was lo\ufffdt."), "characters were lost"),
    ("length_outliers", chat("Why?", "Since it is amber and birch. " * 60), "the median is"),
    ("length_outliers", chat("Why?", "Since it is amber and birch. " * 90), "over 2,000 tokens"),
    ("mixed_roles", chat("Why?", "So it is.", "Why not?"), "the last turn is of the user"),
    ("mixed_roles", chat("Why?", "So it is.", roles=("human", "gpt")), "other names of roles"),
    ("mixed_roles", chat("Why?", "And?", "So it is.", roles=("user", "user", "assistant")),
     "same role in a row"),
    ("mixed_roles", chat("Hi.", "It is.", roles=("user", "narrator")), "'narrator' is unknown"),
    ("unreadable_lines", {"id": 7}, "no messages"),
    ("unreadable_lines", {"input_ids": [5, 6, 257], "attention_mask": [1, 1]},
     "attention_mask of another length than input_ids, as 2 for 3"),
]  # fmt: skip


def token_rows(num_rows: int, misfits: set[int]) -> list[dict[str, Any]]:
    """Token ids with labels; those of `misfits` lack the label of the last token."""
    rows = []
    for n in range(num_rows):
        ids = [*range(40 + n, 50 + n), 257]
        rows.append({"input_ids": ids, "labels": ids[:-1] if n in misfits else ids})
    return rows


@pytest.mark.parametrize(
    ("misfits", "lines"), [({4, 8}, [5, 9]), (set(), []), (set(range(12)), [])]
)
@pytest.mark.parametrize("has_tokenizer", [True, False])
def test_labels_of_another_length_are_named_unless_all_are(
    misfits: set[int], lines: list[int], has_tokenizer: bool, tmp_path: Path, tokenizer: Path
) -> None:
    path = write(tmp_path, token_rows(12, misfits))
    check = check_data(path, tokenizer if has_tokenizer else None)
    assert lines_of(check, "unreadable_lines") == lines
    assert check.num_examples == 12
    cannot_tell = [one.why for one in check.not_checked if one.problem == "unreadable_lines"]
    assert cannot_tell == ([UNLIKE_LABELS] if len(misfits) == 12 else [])


@pytest.mark.parametrize(("problem", "record", "evidence"), PLANTED)
def test_check_names_the_line_of_a_planted_problem(
    problem: ProblemName, record: Any, evidence: str, tmp_path: Path, tokenizer: Path
) -> None:
    records = sound_records()
    records.insert(12, record)
    check = check_data(write(tmp_path, records), tokenizer)
    assert lines_of(check, problem) == [13]
    (text,) = [p.evidence for p in check.problems if p.problem == problem]
    assert evidence in text
    assert check.exit_code == 1


@pytest.mark.parametrize("answer", [
    "Buy these:\n1. Bread or rice or oats, as you like\n2. Some nuts, seeds, or dried fruits",
    "The radius is 10, so that the length around it is C = 62.8 cm",
    "Here is a random password of ten characters for you: gsL2E#n*9X",
    "It is so, as you know.\n\nWith kind regards from all of us here,\nThe Team",
    "They came at mid day on Friday and went home at mid day on Monday :(",
])  # fmt: skip
def test_whole_answer_without_a_full_stop_is_not_truncated(
    answer: str, tmp_path: Path, tokenizer: Path
) -> None:
    check = check_data(write(tmp_path, [*sound_records(), chat("Why?", answer)]), tokenizer)
    assert lines_of(check, "truncated_answers") == []


INFORMAL = ["take a jacket since it may rain there", "bring me with you the next time",
            "they were the best of all of them", "it is not so far from the lake"]  # fmt: skip
CUT = ["it is the lake that you came", "then we went up the hill and", "you may ask any of them if",
       "so that it is never too"]  # fmt: skip


@pytest.mark.parametrize(("endings", "lines"), [(INFORMAL, []), (CUT, [61, 62, 63, 64])])
def test_answers_without_a_mark_are_cut_where_they_end_on_any_word(
    endings: list[str], lines: list[int], tmp_path: Path, tokenizer: Path
) -> None:
    records = [chat(f"Why {n}?", f"It is so, and {end}") for n, end in enumerate(endings)]
    check = check_data(write(tmp_path, [*sound_records(), *records]), tokenizer)
    assert lines_of(check, "truncated_answers") == lines
    assert [r.lines for r in check.remarks] == ([] if lines else [[61, 62, 63, 64]])
    assert check.exit_code == (1 if lines else 0)


@pytest.mark.parametrize("text", [
    "“CAFÉ” and “IRMÃ”", "Il dit : « Ça va, déjà\xa0« là »\xa0? »", "„Ä“ ist ein Buchstabe.",
    "naïve café, São Paulo, Łódź", "20 °C, 5 £, ½ €",
    "привет", "Ünal’ın Çanakkale’si", "ÐEKKT ÞÓR", "😀 こんにちは",
])  # fmt: skip
def test_text_beyond_ascii_is_not_damaged(text: str, tmp_path: Path, tokenizer: Path) -> None:
    check = check_data(write(tmp_path, [*sound_records(), chat(text, f"{text}.")]), tokenizer)
    assert lines_of(check, "damaged_characters") == []


def call(name: str, key: str = "tool_calls") -> dict[str, Any]:
    function = {"name": name, "arguments": "{}"}
    calls: Any = [{"id": "1", "type": "function", "function": function}]
    content = {"role": "assistant", "content": None}
    return content | {key: calls if key == "tool_calls" else function}


@pytest.mark.parametrize("key", ["tool_calls", "function_call"])
def test_calls_of_tools_are_answers(key: str, tmp_path: Path, tokenizer: Path) -> None:
    prompt = {"role": "user", "content": "Do it."}
    records: list[Any] = sound_records()
    records += [{"messages": [prompt, call(name, key)]} for name in ("run", "walk")]
    said = {"role": "tool" if key == "tool_calls" else "function", "content": "done"}
    records.append({"messages": [prompt, call("go", key), said, prompt | {
        "role": "assistant", "content": "It is done."}]})  # fmt: skip
    check = check_data(write(tmp_path, records), tokenizer)
    assert check.problems == []


def test_label_that_says_nothing_is_none_of_a_text(tmp_path: Path, tokenizer: Path) -> None:
    fillers = [chat(f"Why {n}?", "N/A") for n in range(3)]
    check = check_data(write(tmp_path, [*sound_records(), *fillers]), tokenizer)
    assert check.problems == []
    (remark,) = check.remarks
    assert (remark.problem, remark.lines) == ("empty_answers", [61, 62, 63])
    labels = [chat(f"Name {n}?", ("none", "tree")[n % 2]) for n in range(60)]
    assert check_data(write(tmp_path, labels), tokenizer).remarks == []


def test_duplicates_name_the_later_line(tmp_path: Path, tokenizer: Path) -> None:
    records = sound_records()
    again = json.loads(json.dumps(records[3]).replace("Tell me", "  tell  ME"))
    check = check_data(write(tmp_path, [*records, again]), tokenizer)
    assert lines_of(check, "duplicates") == [61]
    assert "line 61 is line 4" in check.problems[0].evidence


def test_train_in_validation_compares_examples_and_prompts(tmp_path: Path, tokenizer: Path) -> None:
    records, other = sound_records(), sound_records(10, seed=2)
    same, same_prompt = records[5], chat(records[8]["messages"][0]["content"], "Another answer.")
    validation = write(tmp_path, [*other, same, same_prompt], "validation.jsonl")
    check = check_data(write(tmp_path, records), tokenizer, validation)
    matches = [(p.lines, p.evidence) for p in check.problems if p.problem == "train_in_validation"]
    assert [lines for lines, _ in matches] == [[6], [9]]
    assert "line 6 is line 11 there" in matches[0][1]


def test_template_without_an_end_concerns_all_lines(tmp_path: Path) -> None:
    folder = make_tokenizer(tmp_path / "no_end", NO_END)
    check = check_data(write(tmp_path, sound_records()), folder)
    assert lines_of(check, "end_token_missing") == list(range(1, 61))


def test_template_that_refuses_roles_is_quoted(tmp_path: Path) -> None:
    folder = make_tokenizer(tmp_path / "alternating", ALTERNATING, eos_token="</s>")
    records = sound_records()
    records.insert(2, chat("Be kind.", "Why?", "So.", roles=("system", "user", "assistant")))
    check = check_data(write(tmp_path, records), folder)
    assert lines_of(check, "mixed_roles") == [3]
    assert "must alternate" in check.problems[0].evidence


def test_check_names_turns_that_the_template_drops(tmp_path: Path) -> None:
    template = CHATML.replace(
        "{% for message in messages %}",
        "{% for message in messages if message['role'] != 'system' %}",
    )
    folder = make_tokenizer(tmp_path / "dropping", template)
    records = sound_records()
    records.insert(4, chat("Be kind.", "Why?", "So.", roles=("system", "user", "assistant")))
    check = check_data(write(tmp_path, records), folder)
    assert lines_of(check, "template_markers_missing") == [5]


def test_render_is_what_transformers_renders(tokenizer: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    theirs = PreTrainedTokenizerFast.from_pretrained(tokenizer)
    record = chat("Why?", "So it is.", "And then?", "No more.")
    text = theirs.apply_chat_template(record["messages"], tokenize=False)
    turns = tuple((m["role"], m["content"]) for m in record["messages"])
    ours = load_chat_tokenizer(tokenizer)
    rendered = ours.render(turns)
    assert rendered.text == text
    assert [rendered.text[a:b] for a, b in rendered.answers] == [
        "So it is.<|im_end|>\n", "No more.<|im_end|>\n"
    ]  # fmt: skip
    assert ours.encode(text) == theirs.encode(text, add_special_tokens=False)


@pytest.mark.parametrize(
    "record",
    [
        {"instruction": "Name a tree.", "input": "", "output": "Birch."},
        {"prompt": "Name a tree.", "completion": "Birch."},
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}]},
    ],
)
def test_usual_layouts_are_read(record: Any, tmp_path: Path, tokenizer: Path) -> None:
    check = check_data(write(tmp_path, [record]), tokenizer)
    assert check.num_examples == 1
    assert check.problems == []


def test_list_in_a_json_file_is_read(tmp_path: Path, tokenizer: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps([*sound_records(), chat("Why?", "")], indent=1))
    check = check_data(path, tokenizer)
    assert (check.num_examples, check.number) == (61, "example")
    assert "  Example 61\n" in format_data_check(check)


def test_checks_without_a_tokenizer_say_so(tmp_path: Path) -> None:
    check = check_data(write(tmp_path, sound_records()))
    assert {one.problem for one in check.not_checked} == {
        "labels_all_masked", "template_markers_missing", "end_token_missing", "length_outliers",
        "train_in_validation",
    }  # fmt: skip
    assert check.exit_code == 0  # most checks ran
    assert len(check.checked) == 9


def test_hostile_template_changes_nothing(tmp_path: Path) -> None:
    for n, attack in enumerate((
        "{{ messages.__class__.__mro__ }}", "{% for i in range(10**9) %}x{% endfor %}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
    )):  # fmt: skip
        folder = make_tokenizer(tmp_path / f"hostile{n}", attack)
        check = check_data(write(tmp_path, sound_records(2)), folder)
        assert lines_of(check, "mixed_roles") == [1, 2]


def test_damaged_files_are_one_sentence(tmp_path: Path, tokenizer: Path) -> None:
    with pytest.raises(CorpusError, match="cannot be read"):
        check_data(tmp_path / "missing.jsonl", tokenizer)
    data = write(tmp_path, sound_records(2))
    with pytest.raises(TokenizerError, match="Name the folder"):
        check_data(data, tmp_path)
    data.write_text('{"messages": [\nnot json\n')
    check = check_data(data, tokenizer)
    assert lines_of(check, "unreadable_lines") == [1, 2]


def test_check_command_ends_with_the_exit_code(
    tmp_path: Path, tokenizer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = write(tmp_path, sound_records())
    assert run_command(["check", str(sound), "--tokenizer", str(tokenizer)]) == 0
    assert "no problem found" in capsys.readouterr().out
    bad = write(tmp_path, [*sound_records(), chat("Why?", "")], "bad.jsonl")
    assert run_command(["check", str(bad), "--tokenizer", str(tokenizer), "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["problems"][0]["lines"] == [61]
    assert run_command(["check", str(tmp_path / "none.jsonl")]) == 2
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    assert run_command(["check", str(empty)]) == 3
    assert run_command(["check", "my_program.py", "--max-length", "3"]) == 2


def chatml(record: dict[str, Any]) -> dict[str, str]:
    return {"text": "".join(
        f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in record["messages"]
    )}  # fmt: skip


def gemma(record: dict[str, Any]) -> dict[str, str]:
    return {"text": "<bos>" + "".join(
        f"<start_of_turn>{m['role'].replace('assistant', 'model')}\n{m['content']}<end_of_turn>\n"
        for m in record["messages"]
    )}  # fmt: skip


def llama3(record: dict[str, Any]) -> dict[str, str]:
    return {"text": "<|begin_of_text|>" + "".join(
        f"<|start_header_id|>{m['role']}<|end_header_id|>\n\n{m['content']}<|eot_id|>"
        for m in record["messages"]
    )}  # fmt: skip


def llama2(record: dict[str, Any]) -> dict[str, str]:
    question, answer = (m["content"] for m in record["messages"])
    return {"text": f"<s>[INST] {question} [/INST] {answer}</s>"}


def zephyr(record: dict[str, Any]) -> dict[str, str]:
    return {"text": "".join(f"<|{m['role']}|>\n{m['content']}</s>\n" for m in record["messages"])}


END_MARKERS = {chatml: "<|im_end|>\n", gemma: "<end_of_turn>\n", llama3: "<|eot_id|>",
               llama2: "</s>", zephyr: "</s>\n"}  # fmt: skip


@pytest.mark.parametrize("style", END_MARKERS)
def test_last_end_marker_missing_in_some_texts_shows_without_a_tokenizer(
    style: Any, tmp_path: Path
) -> None:
    texts = [style(record) for record in sound_records()]
    sound = check_data(write(tmp_path, texts))
    assert (sound.problems, sound.remarks, sound.exit_code) == ([], [], 0)
    assert {"mixed_roles", "empty_answers", "truncated_answers"} <= {*sound.checked}
    for n in (4, 9, 31):
        assert texts[n]["text"].endswith(END_MARKERS[style])
        texts[n] = {"text": texts[n]["text"].removesuffix(END_MARKERS[style])}
    check = check_data(write(tmp_path, texts))
    assert [p.problem for p in check.problems] == ["end_token_missing"]
    assert lines_of(check, "end_token_missing") == [5, 10, 32]
    assert "in 57 of 60 texts" in check.problems[0].evidence


def test_end_marker_missing_within_a_text_is_named(tmp_path: Path) -> None:
    texts = [chatml(record) for record in sound_records()]
    texts[6] = {"text": texts[6]["text"].replace("<|im_end|>", "", 1)}
    assert lines_of(check_data(write(tmp_path, texts)), "end_token_missing") == [7]


@pytest.mark.parametrize("style", [gemma, llama3, llama2, zephyr])
@pytest.mark.parametrize("has_tokenizer", [True, False])
def test_texts_of_another_template_are_named(
    style: Any, has_tokenizer: bool, tmp_path: Path, tokenizer: Path
) -> None:
    texts = [chatml(record) for record in sound_records()]
    for n in (2, 20):
        texts[n] = style(sound_records()[n])
    check = check_data(write(tmp_path, texts), tokenizer if has_tokenizer else None)
    assert lines_of(check, "template_markers_missing") == [3, 21]
    assert any("and most as in ChatML" in p.evidence for p in check.problems)


def test_texts_about_markers_are_no_conversations(tmp_path: Path) -> None:
    texts = [{"text": f"In case {n} write <|im_start|> and [INST] before a turn."}
             for n in range(30)]  # fmt: skip
    check = check_data(write(tmp_path, texts))
    assert (check.problems, check.remarks) == ([], [])
    quoting = [chatml(record) for record in sound_records()]
    quoting[3] = chatml(chat("What is [INST] for?", "It begins the turn of a user in Llama 2."))
    check = check_data(write(tmp_path, quoting))
    assert check.problems == []
    assert [remark.lines for remark in check.remarks] == [[4]]


def preference(n: int, chosen: str, rejected: str, as_list: bool) -> dict[str, Any]:
    prompt = {"role": "user", "content": f"Which is number {n}?"}
    if not as_list:
        return {"prompt": prompt["content"], "chosen": chosen, "rejected": rejected}
    answers = {"chosen": chosen, "rejected": rejected}
    return {key: [prompt, {"role": "assistant", "content": a}] for key, a in answers.items()}


@pytest.mark.parametrize("as_list", [True, False])
def test_pairs_of_equal_answers_prefer_nothing(as_list: bool, tmp_path: Path) -> None:
    pairs = [preference(n, f"It is {n}.", f"It is {n + 1}.", as_list) for n in range(60)]
    pairs.append(preference(3, "It is 3.", "It is not known.", as_list))  # another pair
    sound = check_data(write(tmp_path, pairs))
    assert (sound.problems, sound.remarks) == ([], [])
    pairs[7] = preference(7, "It is 7.", "It is 7. ", as_list)
    pairs[8] = preference(8, "It is 8.", "", as_list)
    check = check_data(write(tmp_path, pairs))
    assert lines_of(check, "duplicates") == [8]
    assert "nothing is preferred" in check.problems[0].evidence
    assert [(r.problem, r.lines) for r in check.remarks] == [("empty_answers", [9])]


def test_pairs_without_a_prompt_are_read(tmp_path: Path) -> None:
    said = "\n\nHuman: Why?\n\nAssistant: "
    pairs = [{"chosen": f"{said}Since {n}.", "rejected": f"{said}No {n}."} for n in range(8)]
    pairs[5]["rejected"] = pairs[5]["chosen"]
    check = check_data(write(tmp_path, pairs))
    assert [(p.problem, p.lines) for p in check.problems] == [("duplicates", [6])]


def long_answers(limit: int, unit: str) -> list[str]:
    rng = random.Random(3)
    answers = [f"It is {' '.join(rng.choices(WORDS, k=n + 20))}." for n in range(60)]
    if unit == "characters":
        return [answer[:limit] for answer in answers]
    return [" ".join(answer.split()[:limit]) for answer in answers]


@pytest.mark.parametrize(("limit", "unit"), [(300, "characters"), (50, "words"), (900, "words")])
def test_answers_of_one_maximum_length_are_cut(limit: int, unit: str, tmp_path: Path) -> None:
    answers = long_answers(limit, unit)
    is_cut = [not answer.endswith(".") for answer in answers]
    records = [chat(f"Why {n}?", answer) for n, answer in enumerate(answers)]
    check = check_data(write(tmp_path, records))
    cut = [n for n, one in enumerate(is_cut, 1) if one]
    assert set(cut) <= {*lines_of(check, "truncated_answers")} or not cut
    assert bool(lines_of(check, "truncated_answers")) == (limit < 900)
    if cut:
        assert any(f"cut at {limit} {unit}" in p.evidence for p in check.problems)


def test_pile_is_at_the_maximum_length_alone() -> None:
    assert is_pile([10, 11, 12, 20, 20, 20, 20])
    assert not is_pile([20] * 3)
    assert not is_pile([*range(10, 20)] * 8 + [20] * 8)


def test_maximum_length_cuts_without_a_tokenizer(tmp_path: Path) -> None:
    records = sound_records()
    records[4] = chat("word " * 130, "So it is.")
    records[8] = chat("characteristically " * 30, "So it is, in the end.")
    check = check_data(write(tmp_path, records), max_length=120)
    assert lines_of(check, "labels_all_masked") == lines_of(check, "length_outliers") == [5]
    assert {(r.problem, *r.lines) for r in check.remarks} == {
        ("labels_all_masked", 9), ("length_outliers", 9),
    }  # fmt: skip
    assert check_data(write(tmp_path, records), max_length=4000).problems == []


def test_token_ids_are_looked_at_without_a_tokenizer(tmp_path: Path) -> None:
    rows = token_rows(30, set())
    rows[3]["labels"] = [-100] * 11
    rows[6] = {"input_ids": [*range(60)], "labels": [*range(60)]}
    check = check_data(write(tmp_path, rows), max_length=40)
    assert lines_of(check, "labels_all_masked") == [4]
    assert lines_of(check, "length_outliers") == [7]
