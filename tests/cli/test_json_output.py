"""The JSON of each command, compared with its schema (docs/json.md)."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.main import get_command

from descend.cli.json_outputs import SAME_OUTPUT, SCHEMA_VERSIONS
from descend.cli.main import app
from descend.cli.output import print_report
from json_schemas import check_output, read_schema
from script_loading import load_script

Descend = Callable[..., Any]
ROOT = Path(__file__).parents[2]
SLOW = pytest.mark.slow
STEPS = ("--budget-unit", "steps", "--budget", "2", "--eval-tokens", "256", "--workers", "1")


def list_json_commands(command: Any, path: str = "") -> Iterator[str]:
    """Name each command of the program that has `--json`."""
    if any("--json" in parameter.opts for parameter in command.params):
        yield path
    for name, below in getattr(command, "commands", {}).items():
        yield from list_json_commands(below, f"{path} {name}".strip())


def test_every_command_with_json_has_a_schema() -> None:
    named = set(list_json_commands(get_command(app)))
    assert named | {"error"} == set(SCHEMA_VERSIONS) | set(SAME_OUTPUT)
    for command in SCHEMA_VERSIONS:
        schema = read_schema(command)
        jsonschema.Draft202012Validator.check_schema(schema)


def test_schemas_are_what_the_code_says() -> None:
    generator = load_script(ROOT / "tools" / "make_json_schemas.py")
    stale = [
        path.name
        for path, text in generator.make_files().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    assert stale == [], "run `python tools/make_json_schemas.py`"


def test_help_of_a_generator_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = load_script(ROOT / "tools" / "make_json_schemas.py")
    monkeypatch.setattr("sys.argv", ["make_json_schemas.py", "--help"])
    with pytest.raises(SystemExit) as ended:
        generator.main()
    assert ended.value.code == 0


def test_a_wrong_field_is_noticed(descend: Descend) -> None:
    facts = descend("env", "--json").json
    for change in ({"cores": "two"}, {"colour": 1}, {"schema_version": 2}):
        with pytest.raises(jsonschema.ValidationError):
            check_output("env", facts | change)
    del facts["schema_version"]
    with pytest.raises(jsonschema.ValidationError):
        check_output("env", facts)


CASES: dict[str, tuple[str, ...]] = {
    "chat": ("chat", "MODEL", "--max-new-tokens", "3"),
    "checklist": ("checklist", "MODEL"),
    "compare finished runs": ("compare", "MODEL", "MODEL"),
    "compare": ("compare", "TEXT", "--config", "TINY", "--vary", "dropout_rate=0,0.1",
                "--num-seeds", "2", *STEPS),
    "attribute": ("attribute", "TINY", "OTHER", "TEXT", "--num-seeds", "1", "--max-runs", "8",
                  "--eval-tokens", "256", "--workers", "1"),
    "config presets": ("config", "presets"),
    "config show": ("config", "show", "--config", "TINY"),
    "corpus add": ("corpus", "add", "TEXT", "corpus"),
    "corpus stats": ("corpus", "stats", "TEXT", "--vocab-size", "300"),
    "diagnose": ("diagnose", "MODEL", "--no-trials"),
    "diagnose a log": ("diagnose", "LOG"),
    "env": ("env",),
    "evaluate": ("evaluate", "MODEL", "TEXT"),
    "explain": ("explain", "learning_rate", "--run", "MODEL"),
    "explain all": ("explain",),
    "forecast": ("forecast", "MODEL", "--epochs", "2"),
    "generate": ("generate", "MODEL", "The cat", "--max-new-tokens", "3"),
    "generate twice": ("generate", "MODEL", "The cat", "A dog", "--max-new-tokens", "3"),
    "learn": ("learn",),
    "list": ("list", "MODELS"),
    "report": ("report", "MODEL"),
    "tokenizer train": ("tokenizer", "train", "TEXT", "tokens.json", "--vocab-size", "300"),
    "train": ("train", "TEXT", "--config", "TINY"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_output_is_as_its_schema_says(
    descend: Descend, name: str, trained: Path, text_file: Path, tiny_file: Path
) -> None:
    shutil.copytree(trained, "models/own")
    log = [f"step {n}: train loss {4 - n / 40:.3f}, val loss {4.1 - n / 40:.3f}" for n in range(50)]
    Path("train.log").write_text("\n".join(log), encoding="utf-8")
    Path("other.toml").write_text(
        tiny_file.read_text(encoding="utf-8").replace("epoch = 2", "epoch = 1"), encoding="utf-8"
    )
    places = {
        "MODEL": "models/own", "MODELS": "models", "TEXT": text_file, "TINY": tiny_file,
        "OTHER": "other.toml", "LOG": "train.log",
    }  # fmt: skip
    words = [str(places.get(word, word)) for word in CASES[name]]
    content = descend(*words, "--json", stdin="Hello\n").json
    assert next(iter(content)) == "schema_version"


def test_failures_are_as_their_schema_says(descend: Descend, own_folder: Path) -> None:
    for words in (("list", "nowhere"), ("list", "--no-such-flag")):
        done = descend(*words, "--json")
        assert done.code == 2
        check_output("error", json.loads(done.out))


def test_env_names_no_path_outside_home(
    descend: Descend, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("DESCEND_CACHE_DIR", str(tmp_path / "own" / "cache"))
    facts = descend("env", "--json").json
    assert Path(facts["cache_folder"]) == Path("~/own/cache")
    assert facts["cache_is_writable"]
    assert facts["variables"] == ["DESCEND_CACHE_DIR"]
    monkeypatch.setenv("DESCEND_CACHE_DIR", str(Path(tmp_path.anchor) / "elsewhere"))
    text = descend("env").out
    assert "a folder outside ~" in text
    assert str(tmp_path) not in text
    assert "elsewhere" not in text
    assert max(map(len, text.splitlines())) <= 100
    for name in ("descend", "Python", "torch", "processor", "device", "cache"):
        assert re.search(rf"^{name} +\S", text, re.MULTILINE), name


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root writes everywhere")
def test_env_says_if_the_cache_is_not_writable(
    descend: Descend, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "shut").mkdir(mode=0o500)
    monkeypatch.setenv("DESCEND_CACHE_DIR", str(tmp_path / "shut" / "cache"))
    assert not descend("env", "--json").json["cache_is_writable"]


def test_issue_forms_ask_for_env() -> None:
    for name in ("bug", "diagnosis"):
        form = (ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml").read_text(encoding="utf-8")
        assert "`descend env`" in form


@pytest.mark.parametrize("as_json", [True, False])
def test_print_report_makes_the_text_only_when_it_is_printed(
    as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[str] = []

    def make_text() -> str:
        made.append("2 files")
        return made[-1]

    print_report("push", {"files": 2}, make_text, as_json)
    assert made == ([] if as_json else ["2 files"])
    assert ('"files":2' if as_json else "2 files\n") in capsys.readouterr().out
