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
    units, count = recurring_units(lambda: texts)
    assert count == 30
    cleaned = [without_boilerplate(text, units).strip("\n") for text in texts]
    assert cleaned == [story(n).strip("\n") for n in range(30)]


def test_text_of_its_own_has_none() -> None:
    code = [f"import os\nimport sys\n\ndef f{n}(x):\n    if x:\n        return {n}\n    }}\n}}\n"
            for n in range(30)]  # fmt: skip
    for texts in ([story(n) for n in range(30)], code):
        result = find_boilerplate(lambda texts=texts: texts)
        assert result is not None
        assert result.fraction == 0
        assert result.passages == []
    assert find_boilerplate(lambda: [COOKIES + story(n) for n in range(5)]) is None


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
