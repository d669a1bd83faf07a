"""The built-in corpora: text to train on with nothing to download.

`python` is the prose of the running Python's standard library: its documentation topics
(`pydoc_data.topics`) and its docstrings, read from the source files, never imported.
`stories` was made by a grammar (benchmarks/diagnosis/write_stories.py), which knows its entropy:
0.0873 bits per byte.
"""

from __future__ import annotations

import ast
import hashlib
import json
import lzma
import os
import sys
import sysconfig
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path

from descend.data.document import Document
from descend.errors import CorpusError

BUILTIN_CORPORA = ("python", "stories")

EXTRACTION_VERSION = 1
"""Raised whenever `_python_documents` would give other text from the same files."""

STORIES_FILE = "stories.jsonl.xz"
STORIES_FINGERPRINT = "stories-2-20240229-2000"
"""Version, seed, and number of stories: another whenever the file holds other text."""

SKIPPED_FOLDERS = frozenset(
    # Tests, data of tests, demos and second copies: little prose, or prose said elsewhere.
    {"test", "tests", "idle_test", "idlelib", "lib2to3", "turtledemo", "site-packages",
     "dist-packages", "lib-dynload", "_bundled", "__pycache__"}
)  # fmt: skip

MIN_DEDUP_PARAGRAPH_CHARS = 100
"""Characters from which a paragraph may stand only once in the corpus. The library repeats
itself (topics quote each other; `_pydecimal` and `_pyio` have twins), and what is said twice
would stand in training and validation both. 100 characters are about the 32 tokens that
`overlap` looks for; much shorter ones are signatures and headings, which rightly recur."""

MIN_DOCUMENT_CHARS = 200
"""Characters below which a module's docstrings are not worth a document."""


def read_builtin_corpus(name: str) -> Iterator[Document]:
    """Return the documents of an embedded corpus, in the same order every time.

    `CorpusError` for an unknown name (at once), and for `python` where neither topics nor
    sources of the standard library can be found (at the first document).
    """
    _check_name(name)
    return _story_documents() if name == "stories" else _python_documents()


def corpus_fingerprint(name: str) -> str:
    """Return a short text that changes when the corpus would: cheap, nothing is parsed."""
    _check_name(name)
    if name == "stories":
        return STORIES_FINGERPRINT
    listing = hashlib.sha256(repr(sys.version_info[:]).encode())
    for path, size in sorted(_listing()):
        listing.update(f"{path}\0{size}\n".encode(errors="surrogateescape"))
    version = ".".join(map(str, sys.version_info[:3]))
    return f"python-{version}-{EXTRACTION_VERSION}-{listing.hexdigest()[:16]}"


def _check_name(name: str) -> None:
    if name not in BUILTIN_CORPORA:
        raise CorpusError(
            "corpus", f"{name!r}", f"one of the embedded corpora ({', '.join(BUILTIN_CORPORA)})",
            "choose one of these, or give a folder or file of your own",
        )  # fmt: skip


def _story_documents() -> Iterator[Document]:
    content = lzma.decompress(files("descend.data").joinpath(STORIES_FILE).read_bytes())
    for number, line in enumerate(content.splitlines()):
        yield Document(json.loads(line)["text"], f"stories: {number}")


def _python_documents() -> Iterator[Document]:
    known_hashes: set[bytes] = set()
    has_text = False
    for source, chunks in _python_chunks():
        text = "\n\n".join(_drop_repeated_paragraphs(chunks, known_hashes)).strip("\n")
        if len(text) >= MIN_DOCUMENT_CHARS:
            has_text = True
            yield Document(text + "\n", f"python: {source}")
    if not has_text:
        raise CorpusError(
            "corpus python", "neither documentation topics nor sources of the standard library",
            "an installation of Python that ships them",
            "choose the embedded corpus stories, or give a folder of your own texts",
        )  # fmt: skip


def _python_chunks() -> Iterator[tuple[str, Iterable[str]]]:
    """Yield each document's name with its pieces of text: the topics, then the modules."""
    for topic, text in sorted(_topics().items()):
        yield f"topics/{topic}", [text]
    for path, source in _sources():
        yield _module_name(path), _docstrings(source)


def _topics() -> dict[str, str]:
    """Return the language reference by topic; empty where this Python was packaged without it."""
    try:
        from pydoc_data.topics import topics
    except ImportError:
        return {}
    return dict(topics)


def _drop_repeated_paragraphs(chunks: Iterable[str], known_hashes: set[bytes]) -> Iterator[str]:
    """Yield the pieces without those of their long paragraphs that came before; notes all in
    `known_hashes`.

    A piece of which no more than half is left goes altogether: what remains of a doubled
    text are its headings and examples, doubled as well.
    """
    for chunk in chunks:
        clean = chunk.encode("utf-8", "ignore").decode("utf-8")  # drops lone surrogates
        paragraphs = []
        for paragraph in clean.split("\n\n"):
            normalized = " ".join(paragraph.split())
            if len(normalized) >= MIN_DEDUP_PARAGRAPH_CHARS:
                key = hashlib.blake2b(normalized.encode(), digest_size=16).digest()
                if key in known_hashes:
                    continue
                known_hashes.add(key)
            if normalized:
                paragraphs.append(paragraph.strip("\n").rstrip())
        text = "\n\n".join(paragraphs)
        if len(text) > len(clean) / 2:
            yield text


def _docstrings(source: bytes) -> list[str]:
    """Docstrings of a module, its classes and functions, in source order and cleaned.

    Empty for a file that this Python cannot parse (some are kept that way on purpose).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in old docstrings
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return []
    return [text for node in _scopes(tree) if (text := ast.get_docstring(node))]


Scope = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _scopes(node: ast.AST) -> Iterator[Scope]:
    """Yield the node, if it may bear a docstring, then those inside it, in source order."""
    if isinstance(node, Scope):
        yield node
    for child in ast.iter_child_nodes(node):
        # Expressions hold no scopes: not walking them halves the time.
        if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            yield from _scopes(child)


def _module_name(path: str) -> str:
    parts = path.removesuffix(".py").split("/")
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def _order(path: str) -> tuple[bool, str]:
    """Public modules first: where text is doubled, the well-known place keeps it."""
    return any(part.startswith("_") for part in _module_name(path).split(".")), path


def _sources() -> Iterator[tuple[str, bytes]]:
    """Yield path (relative, with /) and content of the standard library's source files, sorted."""
    root = _root()
    if root.is_file():
        with zipfile.ZipFile(root) as archive:
            for path in sorted((path for path, _ in _listing()), key=_order):
                yield path, archive.read(path)
        return
    for path in sorted((path for path, _ in _listing()), key=_order):
        try:
            yield path, (root / path).read_bytes()
        except OSError:  # unreadable: the corpus is what can be read
            continue


def _root() -> Path:
    """Folder of the standard library, or the zip file that some installations keep it in."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    zipped = f"python{sys.version_info[0]}{sys.version_info[1]}.zip"
    if not (folder / "os.py").exists():
        for entry in sys.path:
            if Path(entry).name == zipped and zipfile.is_zipfile(entry):
                return Path(entry)
    return folder


def _listing() -> Iterator[tuple[str, int]]:
    """Relative path and size in bytes of each source file of the standard library."""
    root = _root()
    if root.is_file():
        with zipfile.ZipFile(root) as archive:
            for entry in archive.infolist():
                folders = entry.filename.split("/")[:-1]
                if entry.filename.endswith(".py") and not SKIPPED_FOLDERS.intersection(folders):
                    yield entry.filename, entry.file_size
        return
    yield from _listing_of_folder(str(root), "")


def _listing_of_folder(folder: str, prefix: str) -> Iterator[tuple[str, int]]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.is_dir():
            if entry.name not in SKIPPED_FOLDERS:
                yield from _listing_of_folder(entry.path, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".py") and entry.is_file():
            yield prefix + entry.name, entry.stat().st_size
