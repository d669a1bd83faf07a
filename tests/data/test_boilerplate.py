"""Passages that recur across documents are named and dropped; what only resembles is left."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from descend.cli.main import run as command_line
from descend.data.contamination.boilerplate import (
    find_boilerplate,
    recurring_units,
    without_boilerplate,
)

COOKIES = "We use cookies to improve your visit. Read more in our notice of privacy.\nAccept\n"
MENU = "Home\nPrices\nBlog\nContact us\nLog in\nSign up for free\n"
LICENSE = "# Licensed under the terms of the example license, see LICENSE.\n# No warranty.\n\n"


def story(number: int) -> str:
    pick = random.Random(number)
    words = ["fox", "crow", "tree", "cheese", "said", "went", "saw", "the", "a", "old"]
    return "".join(" ".join(pick.choices(words, k=12)) + ".\n" for _ in range(6))


@pytest.mark.parametrize("frame", [COOKIES, MENU, LICENSE, MENU + "\n" + COOKIES])
def test_what_recurs_is_named_with_its_share_and_dropped(frame: str) -> None:
    texts = [frame + story(n) for n in range(30)]
    result = find_boilerplate(lambda: texts)
    assert result is not None
    share = sum(map(len, [frame] * 30)) / sum(map(len, texts))
    assert result.fraction == pytest.approx(share, abs=0.02)
    assert result.passages[0].documents == 30
    assert result.passages[0].beginning == " ".join(frame.split())[:60]
    units = recurring_units(lambda: texts)
    assert units.documents == 30
    cleaned = [without_boilerplate(text, units, n).strip("\n") for n, text in enumerate(texts)]
    assert cleaned == [story(n).strip("\n") for n in range(30)]


def test_text_of_its_own_has_none() -> None:
    code = [f"import os\nimport sys\n\ndef f{n}(x):\n    if x:\n        return {n}\n    }}\n}}\n"
            for n in range(30)]  # fmt: skip
    for texts in ([story(n) for n in range(30)], code):
        result = find_boilerplate(lambda texts=texts: texts)
        assert result is not None
        assert result.fraction == 0
        assert result.passages == []
    assert find_boilerplate(lambda: [COOKIES + story(n) for n in range(2)]) is None


def test_a_few_volumes_are_enough_and_each_is_counted_once() -> None:
    volumes = [
        "".join(story(10 * volume + n) + COOKIES.partition("\n")[0] + "\n" for n in range(10))
        for volume in range(4)
    ]
    result = find_boilerplate(lambda: volumes)
    assert result is not None
    assert [passage.documents for passage in result.passages] == [4]


def test_the_verbs_name_and_drop_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = tmp_path / "site"
    site.mkdir()
    for n in range(30):
        (site / f"{n}.txt").write_text(MENU + story(n) + COOKIES)
    assert command_line(["corpus", "stats", str(site), "--vocab-size", "300", "--json"]) == 0
    boilerplate = json.loads(capsys.readouterr().out)["boilerplate"]
    assert boilerplate["documents"] == 30
    assert 0.2 < boilerplate["fraction"] < 0.4
    assert command_line(["corpus", "stats", str(site), "--vocab-size", "300"]) == 0
    assert 'in 30 documents: "We use cookies' in capsys.readouterr().out
    verb = ["corpus", "add", str(site), str(tmp_path / "dest"), "--drop-boilerplate"]
    assert command_line(verb) == 0
    assert "% of the text as boilerplate" in capsys.readouterr().out
    written = (tmp_path / "dest" / "site.jsonl").read_text()
    assert "cookies" not in written
    assert "Prices" not in written


def page_of(number: int) -> str:
    """A page of a scanned book, its title and number above, the name of the scanner below."""
    head = f"{number + 9}  THE SALT ROAD" if number % 2 else f"Ida Brandt  {number + 9}"
    return f"{head}\n\n{story(number)}\nScanned in Lund\n\f"


def test_running_lines_of_pages_in_files_are_named_and_dropped() -> None:
    texts = [page_of(n) for n in range(100)]
    result = find_boilerplate(lambda: texts)
    assert result is not None
    named = {passage.beginning: passage.documents for passage in result.passages}
    assert named == {"Scanned in Lund": 100, "# THE SALT ROAD": 50, "Ida Brandt #": 50}
    units = recurring_units(lambda: texts)
    cleaned = [without_boilerplate(text, units, n).strip() for n, text in enumerate(texts)]
    assert cleaned == [story(n).strip() for n in range(100)]


def test_the_last_line_of_nearly_all_documents_is_named() -> None:
    texts = [f"{story(n)}Read On in the Gazette\n" for n in range(40)]
    result = find_boilerplate(lambda: texts)
    assert result is not None
    assert [passage.beginning for passage in result.passages] == ["Read On in the Gazette"]


@pytest.mark.parametrize("frame", [
    "import json\n{}", "Song {n}\n{}", "<|user|>\n{}<|assistant|>\nYes.\n", "Question:\n{}",
    "from here on\n{}", "{}And the river ran\n{}And the river ran\n", "{}{n}-01 12:{n} Ended\n",
    "Sum {n} of {n}{n}\n{}", "# Summary\n{}", "{}Verdict: {likely}\n",
])  # fmt: skip
def test_what_belongs_to_each_document_stays(frame: str) -> None:
    texts = [
        frame.replace("{n}", f"{n * n + 10}").replace("{likely}", "no" if n % 6 else "yes")
        .replace("{}", story(n)) for n in range(60)
    ]  # fmt: skip
    result = find_boilerplate(lambda: texts)
    assert result is not None
    assert result.passages == []
