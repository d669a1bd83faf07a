"""HTML: the words of a page without scripts, styles and what only leads elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from descend.errors import CorpusError
from descend.text.document import Document
from descend.text.readers.cutting import in_parts
from descend.text.readers.encoding import Blocks, decode

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

# A page is parsed as a whole; beyond this many characters it is hardly a page.
MAX_CHARS = 1 << 27


def _tags(names: str) -> frozenset[str]:
    return frozenset(names.split())


_DROPPED = _tags(
    "script style noscript template nav header footer aside form button select option iframe "
    "object embed svg math canvas audio video head"
)
# A line ends before and after these; all other elements stand within a line.
_BLOCKS = _tags(
    "address article blockquote body br caption center dd details div dl dt fieldset figcaption "
    "figure h1 h2 h3 h4 h5 h6 hr html li main ol p pre section summary table tbody tfoot thead "
    "tr ul"
)
# An empty line goes before and after these.
_PARAGRAPHS = _tags("p h1 h2 h3 h4 h5 h6 pre blockquote ul ol dl table figure section")
_CELLS = frozenset(("td", "th"))
_SPACE = re.compile(r"[ \t\n\r\f]+")
# Signs that stand for the end of a paragraph, a block or a line while a page is put
# together, and for spaces and newlines in <pre>, which are kept as they are.
_PARAGRAPH, _BLOCK, _BREAK, _PRE_SPACE, _PRE_LINE = "\x01", "\x02", "\x03", "\x04", "\x05"
_OURS = re.compile(r"[\x00-\x05]")
_GAP = re.compile(r"[ \x01-\x03]+")


def read_html(blocks: Blocks, name: str) -> Iterator[Document]:
    """One document per page. Raises `CorpusError` on binary data or a page beyond reason."""
    held: list[str] = []
    length = 0
    for piece in decode(blocks, name):
        held.append(piece)
        length += len(piece)
        if length > MAX_CHARS:
            raise CorpusError(
                name, f"a page of over {MAX_CHARS:,} characters", "a smaller one",
                "split it, or convert it to plain text",
            )  # fmt: skip
    yield from in_parts((html_text("".join(held)),), name)


def html_text(page: str) -> str:
    """The text of a page: a line per block, an empty line around paragraphs."""
    from selectolax.lexbor import LexborHTMLParser

    # The signs below are ours from here on; in a page they mean nothing.
    root = LexborHTMLParser(_OURS.sub(" ", page.replace("\r\n", "\n"))).root
    if root is None:
        return ""
    text = "".join(_pieces(root)).replace("\xa0", " ")
    text = _GAP.sub(_line_ends, text).strip(" \n")
    text = text.replace(_PRE_SPACE, " ").replace(_PRE_LINE, "\n")
    return text + "\n" if text else ""


def _line_ends(gap: re.Match[str]) -> str:
    """What stands for a run of spaces and ends of elements."""
    run = gap.group()
    if _PARAGRAPH in run or run.count(_BREAK) > 1:
        return "\n\n"
    return "\n" if _BREAK in run or _BLOCK in run else " "


def _pieces(root: LexborNode) -> Iterator[str]:
    """Texts and line ends in the order of the page; with no recursion, pages nest deeply."""
    # Nodes are told apart by mem_id: `==` compares them by their whole HTML.
    node: LexborNode | None = root
    pre = 0
    while node is not None:
        tag = node.tag or ""
        if tag == "-text":
            text = node.text_content or ""
            if pre:
                yield text.replace(" ", _PRE_SPACE).replace("\n", _PRE_LINE)
            else:
                yield _SPACE.sub(" ", text)
        elif tag not in _DROPPED:
            yield _end(tag)
            if node.child is not None:
                pre = pre or (node.mem_id if tag == "pre" else 0)
                node = node.child
                continue
        while node is not None and node.next is None:
            node = None if node.mem_id == root.mem_id else node.parent
            if node is not None:
                yield _end(node.tag or "")
                pre = 0 if node.mem_id == pre else pre
        node = node.next if node is not None else None


def _end(tag: str) -> str:
    if tag in _PARAGRAPHS:
        return _PARAGRAPH
    if tag in _BLOCKS:
        return _BREAK if tag == "br" else _BLOCK
    return " " if tag in _CELLS else ""
