"""Count sentences, words, and semicolons in the documents.

    python tools/count_prose.py                  one line a document
    python tools/count_prose.py --long README.md the sentences that are too long

Counted is prose alone: code blocks, tables, headings, comments, and link targets are left out. A
code span counts as one word. A paragraph or a list item ends its last sentence.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAX_SENTENCE_WORDS = 40
MAX_MEAN_WORDS = 16.0
MAX_SEMICOLONS = 5.0
"""Of 100 sentences."""

_BLOCK = re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.DOTALL | re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_CODE = re.compile(r"(`+).+?\1", re.DOTALL)
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_LIST_ITEM = re.compile(r"^\s*(?:[-*+]|\d+\.)\s+")
_NO_PROSE = re.compile(r"^\s*(?:#|\||<)")
_SENTENCE_END = re.compile(r"(?<=[.!?])[)\"'”*]*\s+(?=[\"'“(*]*[A-Z0-9`])")
_ABBREVIATION = re.compile(r"\b(e\.g|i\.e|etc|vs|cf|al)\.")
_CODE_WORD = "`c`"


@dataclass(frozen=True)
class ProseCounts:
    """What is counted in a document."""

    sentences: int
    words: int
    semicolons: int
    long_sentences: tuple[str, ...]

    @property
    def mean_words(self) -> float:
        """Words of a sentence, on average."""
        return self.words / max(1, self.sentences)

    @property
    def semicolons_per_100(self) -> float:
        """Semicolons of 100 sentences."""
        return 100 * self.semicolons / max(1, self.sentences)


def split_paragraphs(text: str) -> list[str]:
    """Return the paragraphs and list items of a Markdown text, without code and tables."""
    text = _COMMENT.sub("", _BLOCK.sub("\n\n", text))
    paragraphs: list[list[str]] = [[]]
    for line in text.splitlines():
        item = _LIST_ITEM.match(line)
        if not line.strip() or _NO_PROSE.match(line) or item:
            paragraphs.append([])
        if not _NO_PROSE.match(line):
            paragraphs[-1].append(line[item.end() :] if item else line)
    joined = (" ".join(" ".join(lines).split()) for lines in paragraphs)
    return [paragraph for paragraph in joined if paragraph]


def split_sentences(text: str) -> list[str]:
    """Return the sentences of a Markdown text."""
    sentences = []
    for paragraph in split_paragraphs(text):
        plain = _LINK.sub(r"\1", _CODE.sub(_CODE_WORD, paragraph))
        plain = _ABBREVIATION.sub(r"\1", plain)
        sentences += [s for s in _SENTENCE_END.split(plain) if count_words(s)]
    return sentences


def count_words(sentence: str) -> int:
    """Count the words that hold a letter or a digit."""
    return sum(1 for word in sentence.split() if re.search(r"\w", word))


def count_prose(text: str) -> ProseCounts:
    """Count the prose of a Markdown text."""
    sentences = split_sentences(text)
    return ProseCounts(
        sentences=len(sentences),
        words=sum(map(count_words, sentences)),
        semicolons=sum(s.count(";") for s in sentences),
        long_sentences=tuple(s for s in sentences if count_words(s) > MAX_SENTENCE_WORDS),
    )


def count_document_words(text: str) -> int:
    """Count the words of a document, code and tables included; bars and rulers are no words."""
    return count_words(text)


def find_documents() -> list[Path]:
    """Return the documents of the repository: those beside the README and those in docs/."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def main() -> None:
    """Print the counts, or the long sentences of the documents named."""
    names = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    documents = [ROOT / name for name in names] or find_documents()
    for path in documents:
        text = path.read_text(encoding="utf-8")
        counts = count_prose(text)
        print(
            f"{path.relative_to(ROOT)!s:32} {count_document_words(text):6,} words  "
            f"{counts.sentences:4} sentences  {counts.mean_words:5.1f} words a sentence  "
            f"{len(counts.long_sentences):3} long  {counts.semicolons_per_100:5.1f} semicolons"
        )
        if "--long" in sys.argv:
            for sentence in counts.long_sentences:
                print(f"    {count_words(sentence)} words: {sentence}")


if __name__ == "__main__":
    main()
