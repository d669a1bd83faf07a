"""The child process in which a tokenizer of a stranger is loaded and tried first."""

from __future__ import annotations

from tokenizers import Tokenizer as FastTokenizer

from descend.limited_process import answer_limited

SAMPLE_TEXT = "The cat, 12 o'clock\n\t  naïve 日本 \u202f\u0301 <|endoftext|>" * 8
"""Letters, digits, spaces, accents, two scripts, and the text of a special token."""


def find_problem(content: bytes) -> str:
    """Load a tokenizer.json, encode and decode a sample, and return what is wrong; empty if
    nothing."""
    try:
        fast = FastTokenizer.from_str(content.decode())
        fast.encode_special_tokens = True
        ids = fast.encode(SAMPLE_TEXT, add_special_tokens=False).ids
        fast.decode(ids, skip_special_tokens=False)
        fast.get_vocab(with_added_tokens=True)
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as problem:  # a panic of Rust is no Exception
        return (str(problem).splitlines() or [type(problem).__name__])[0][:80]
    return ""


def main() -> None:
    """Answer for the tokenizer.json on standard input."""
    answer_limited(find_problem)
