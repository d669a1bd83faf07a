"""HTML: the words of a page without scripts, styles and what only leads elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from descend.data.document import Document
from descend.data.readers.charset import Blocks, decode_blocks
from descend.data.readers.chunking import document_chunks
from descend.data.readers.markup import scan_markup, whole_text
from descend.data.readers.options import DEFAULT_OPTIONS, ReadOptions

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
# Elements open at once, from which lexbor's time, which grows with their square, is felt: a page
# of 5,000 takes 20 ms, one of 40,000 takes 6 s.
MAX_DEPTH = 5_000
# So with the attributes of a tag: 20,000 take 9 s.
MAX_ATTRIBUTES = 1_000
_OPEN_OR_CLOSE = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]*)")
# Elements that nothing stands in, or that end where the next of them begins.
_NEVER_DEEP = _tags(
    "area base br col embed hr img input link meta source track wbr p li td th tr dd dt option"
)
_SPACE = re.compile(r"[ \t\n\r\f]+")
# Signs that stand for the end of a paragraph, a block or a line while a page is put
# together, and for spaces and newlines in <pre>, which are kept as they are.
_PARAGRAPH, _BLOCK, _BREAK, _PRE_SPACE, _PRE_LINE = "\x01", "\x02", "\x03", "\x04", "\x05"
_OURS = re.compile(r"[\x00-\x05]")
_GAP = re.compile(r"[ \x01-\x03]+")


def read_html(
    blocks: Blocks, name: str, options: ReadOptions = DEFAULT_OPTIONS
) -> Iterator[Document]:
    """Yield one document per page. Raises `CorpusError` on binary data or a page beyond reason."""
    page = whole_text(decode_blocks(blocks, name, options), name, MAX_CHARS)
    yield from document_chunks((html_text(page),), name)


def html_text(page: str) -> str:
    """Return the text of a page: a line per block, an empty line around paragraphs."""
    # The signs below are ours from here on; in a page they mean nothing.
    page = _OURS.sub(" ", page.replace("\r\n", "\n"))
    text = "".join(_scanned(page) if _is_beyond_parser(page) else _parsed(page)).replace(
        "\xa0", " "
    )
    text = _GAP.sub(_line_ends, text).strip(" \n")
    text = text.replace(_PRE_SPACE, " ").replace(_PRE_LINE, "\n")
    return text + "\n" if text else ""


def _line_ends(gap: re.Match[str]) -> str:
    """Return what stands for a run of spaces and ends of elements."""
    run = gap.group()
    if _PARAGRAPH in run or run.count(_BREAK) > 1:
        return "\n\n"
    return "\n" if _BREAK in run or _BLOCK in run else " "


def _parsed(page: str) -> Iterator[str]:
    from selectolax.lexbor import LexborHTMLParser

    root = LexborHTMLParser(page).root
    return iter(()) if root is None else _text_chunks(root)


def _is_beyond_parser(page: str) -> bool:
    """Return whether more elements may be open at once, or a tag have more attributes, than a
    parser takes linear time for."""
    for part in page.split(">"):
        if len(part) > 4 * MAX_ATTRIBUTES:
            tag = part.partition("<")[2]
            if len(tag.split(None, MAX_ATTRIBUTES)) > MAX_ATTRIBUTES:
                return True
    depth = 0
    for match in _OPEN_OR_CLOSE.finditer(page):
        if match.group(1):
            depth = max(0, depth - 1)
        elif match.group(2).lower() not in _NEVER_DEEP:
            depth += 1
            if depth > MAX_DEPTH:
                return True
    return False


def _scanned(page: str) -> Iterator[str]:
    """Yield texts and line ends as `_pieces` gives them, without a tree: for pages that nest
    deeply.

    What is dropped ends with its own closing tag, or with the page.
    """
    dropped, depth = "", 0
    for tag, piece in scan_markup(page):
        if tag is None:
            if not dropped:
                yield _SPACE.sub(" ", piece)
        elif dropped:
            if tag == dropped:
                depth += -1 if piece.startswith("</") else 1
                dropped = dropped if depth else ""
        elif tag in _DROPPED and not piece.startswith("</"):
            dropped, depth = tag, 1
        else:
            yield _end(tag)


def _text_chunks(root: LexborNode) -> Iterator[str]:
    """Yield texts and line ends in the order of the page; with no recursion, pages nest deeply."""
    # Nodes are distinguished by mem_id: `==` compares them by their whole HTML.
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
