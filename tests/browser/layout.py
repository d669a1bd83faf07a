"""Measures an open page: broken words, cut tables, and words of figures that meet."""

from __future__ import annotations

from typing import Any

OPEN_ALL = "for (const d of document.querySelectorAll('details')) d.open = true"

BROKEN_WORDS = """() => {
  const bad = [];
  const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, parent = node.parentElement;
    if (!parent.getClientRects().length || parent.closest(".canvas, .unseen, .shaded_text, select"))
      continue;
    let block = parent;
    while (getComputedStyle(block).display === "inline") block = block.parentElement;
    // A line may end behind a hyphen, a dash or a slash, not within a number with its sign. What an
    // untrained model writes has bytes that are no letters: there a line may end.
    for (const word of node.data.matchAll(/-?[\\p{L}\\p{N}][\\p{L}\\p{N}.,:=%'’]*[\\-\\/–—]?/gu)) {
      const range = document.createRange();
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      const boxes = [...range.getClientRects()].filter((b) => b.width > 0);
      const lines = new Set(boxes.map((b) => Math.round(b.top)));
      const width = boxes.reduce((sum, b) => sum + b.width, 0);
      if (lines.size > 1 && width < block.clientWidth) bad.push(word[0]);
    }
  }
  return bad;
}"""

CUT_TABLES = """() => [...document.querySelectorAll("table")]
  .filter((t) => t.getClientRects().length)
  .filter((t) => {
    const box = t.closest(".wide"), edge = box.getBoundingClientRect();
    const scrolls = ["auto", "scroll"].includes(getComputedStyle(box).overflowX);
    const reachable = box.tabIndex === 0 && edge.right <= window.innerWidth + 1;
    return !(reachable && (scrolls || t.scrollWidth <= box.clientWidth));
  })
  .map((t) => t.caption.innerText)"""

LABELS = """() => [...document.querySelectorAll("[data-figure]")]
  .filter((f) => f.getClientRects().length)
  .map((f) => {
    const frame = f.querySelector("svg").getBoundingClientRect();
    const texts = [...f.querySelectorAll("svg text")].map((t) => {
      const b = t.getBoundingClientRect();
      return { text: t.textContent, box: [b.left, b.top, b.right, b.bottom] };
    });
    return {
      title: f.querySelector("figcaption").innerText, texts,
      frame: [frame.left, frame.top, frame.right, frame.bottom],
    };
  })"""

SLACK = 2.0
"""CSS pixels by which two boxes may meet: a line of text has some space of its own."""


def open_all(session: Any) -> None:
    """Unfold everything, and wait until the last figure is drawn."""
    session.page.evaluate(OPEN_ALL)
    count = session.page.locator("[data-figure]").count()
    for number in range(count):
        session.page.locator(f'[data-figure="{number}"] svg').wait_for()


def faulty_labels(session: Any) -> list[tuple[str, ...]]:
    """Words in figures that cover each other, or leave their figure."""
    faults: list[tuple[str, ...]] = []
    for figure in session.page.evaluate(LABELS):
        left, top, right, bottom = figure["frame"]
        # A border around letters is drawn as a copy of them.
        texts = {
            (t["text"], *map(round, t["box"])): t for t in figure["texts"] if t["text"].strip()
        }
        placed = list(texts.values())
        for n, one in enumerate(placed):
            a = one["box"]
            if a[0] < left - 1 or a[1] < top - 1 or a[2] > right + 1 or a[3] > bottom + 1:
                faults.append((figure["title"], "outside", one["text"]))
            faults += [
                (figure["title"], one["text"], other["text"])
                for other in placed[n + 1 :]
                if overlaps(a, other["box"])
            ]
    return faults


def overlaps(a: list[float], b: list[float]) -> bool:
    """Whether two boxes (left, top, right, bottom) share more than `SLACK` both ways."""
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    return wide > SLACK and high > SLACK
