"""What lost power may leave of a save on a disk that promises no more than POSIX does.

    python benchmarks/reliability/crash_states.py [--out FILE] [--operation NAME]

A real ext4 hides missing syncs: its journal commits more than was requested. So the calls of a
save are recorded and played again on a model of a disk. After each call the power is cut. Of what
was not synced, every folder and all files independently keep the old or the new state, as in ALICE
(Pillai et al. 2014, "All File Systems Are Not Created Equal", OSDI). Each state is then laid on a
real disk, and what `save_checks.check_folder` asks must hold. The exit code is 1 if it does not.

It needs no root and no loop device.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import fault_injection
from campaign_options import begin_within, make_parser
from fault_injection import Call
from stored import bound_of_zero, scratch_folder, store

MAX_FREE_FOLDERS = 4
"""Folders with unsynced changes up to which every combination is tried; beyond, one at a time."""


@dataclass(eq=False)
class File:
    """A file: what a program reads, and what is on the disk for certain."""

    content: bytes = b""
    durable: bytes = b""


@dataclass(eq=False)
class Folder:
    """The same for the names in a folder."""

    entries: dict[str, File | Folder] = field(default_factory=dict)
    durable: dict[str, File | Folder] = field(default_factory=dict)

    def views(self) -> list[dict[str, File | Folder]]:
        """The states that the folder may have on the disk: new, old, and either with what was
        removed as in the other.

        A rename within a folder is one change: both names, or none."""
        names, nodes = self.entries.keys(), [id(c) for c in self.entries.values()]
        gone = {n for n, c in self.durable.items() if n not in names and id(c) not in nodes}
        without_removed = {n: c for n, c in self.durable.items() if n not in gone}
        with_removed = self.entries | {n: self.durable[n] for n in gone}
        views = [self.entries]
        for view in (self.durable, without_removed, with_removed):
            if view not in views:
                views.append(view)
        return views


class Disk:
    """A folder tree in memory, to which calls are applied."""

    def __init__(self, root: Path) -> None:
        self.root_path = root
        self.root = _read_tree(root)

    def node(self, path: str) -> File | Folder | None:
        """What stands at `path`, seen by a program."""
        node: File | Folder | None = self.root
        for name in self._names(path):
            if not isinstance(node, Folder):
                return None
            node = node.entries.get(name)
        return node

    def apply(self, call: Call) -> None:
        """Do what `call` did."""
        if call.result < 0:
            return
        node = self.node(call.path)
        names = self._names(call.path)
        parent = self.node(str(self.root_path.joinpath(*names[:-1]))) if names else None
        entries = parent.entries if isinstance(parent, Folder) else {}
        if call.name in ("open", "create"):
            if node is None:
                entries[names[-1]] = File()
            elif call.name == "create" and isinstance(node, File):
                node.content = b""
        elif call.name == "write" and isinstance(node, File):
            node.content += call.data
        elif call.name == "truncate" and isinstance(node, File):
            node.content = node.content[: int(call.other)]
        elif call.name == "fsync":
            if isinstance(node, File):
                node.durable = node.content
            elif isinstance(node, Folder):
                node.durable = dict(node.entries)
        elif call.name == "mkdir":
            entries[names[-1]] = Folder()
        elif call.name in ("unlink", "rmdir"):
            entries.pop(names[-1], None)
        elif call.name == "rename" and node is not None:
            *above, name = self._names(call.other)
            target = self.node(str(self.root_path.joinpath(*above)))
            assert isinstance(target, Folder)
            del entries[names[-1]]
            target.entries[name] = node

    def states(self) -> Iterator[tuple[dict[int, dict[str, File | Folder]], bool]]:
        """Choices of what is on the disk: a view for each folder, and whether files keep the new
        content."""
        folders = list(_folders(self.root))
        free = [f for f in folders if len(f.views()) > 1]
        choices: Iterator[tuple[dict[str, File | Folder], ...]]
        if len(free) <= MAX_FREE_FOLDERS:
            choices = itertools.product(*(f.views() for f in free))
        else:
            old = [f.durable for f in free]
            single = [
                [*old[:n], view, *old[n + 1 :]] for n, f in enumerate(free) for view in f.views()
            ]
            choices = iter([tuple(f.entries for f in free), *map(tuple, single)])
        for choice in choices:
            views = {id(f): view for f, view in zip(free, choice, strict=True)}
            yield views, False
            yield views, True

    def write(self, views: dict[int, dict[str, File | Folder]], new: bool, target: Path) -> None:
        """Lay one of the states at `target`."""
        _write_tree(self.root, views, new, target)

    def _names(self, path: str) -> list[str]:
        path = path.removesuffix(" (deleted)")
        relative = os.path.relpath(path, self.root_path)
        return [] if relative == "." else relative.split("/")


def _read_tree(path: Path) -> Folder:
    folder = Folder()
    for child in path.iterdir():
        content = b"" if child.is_dir() else child.read_bytes()
        folder.entries[child.name] = _read_tree(child) if child.is_dir() else File(content, content)
    folder.durable = dict(folder.entries)
    return folder


def _folders(folder: Folder) -> Iterator[Folder]:
    """Folders that any state can reach, each once."""
    yield folder
    children = {id(c): c for c in (*folder.entries.values(), *folder.durable.values())}
    for child in children.values():
        if isinstance(child, Folder):
            yield from _folders(child)


def state_digest(folder: Folder, views: dict[int, dict[str, File | Folder]], new: bool) -> bytes:
    """Equal for equal states."""
    total = hashlib.sha256()
    for name, child in sorted(views.get(id(folder), folder.entries).items()):
        total.update(name.encode() + b"\0")
        if isinstance(child, File):
            total.update(hashlib.sha256(child.content if new else child.durable).digest())
        else:
            total.update(state_digest(child, views, new))
    return total.digest()


def _write_tree(
    folder: Folder, views: dict[int, dict[str, File | Folder]], new: bool, target: Path
) -> None:
    target.mkdir()
    for name, child in views.get(id(folder), folder.entries).items():
        if isinstance(child, File):
            (target / name).write_bytes(child.content if new else child.durable)
        else:
            _write_tree(child, views, new, target / name)


def check_operation(bench, place: Path, operation: str) -> tuple[int, int, list[str]]:
    """Calls, different states, and what does not hold in one of them."""
    import save_checks
    import save_faults
    import saves

    folder, log = place / "run", place / "calls.log"
    saves.copy_base(bench, folder, operation)
    disk = Disk(folder)
    ending, calls = save_faults.run_child(
        bench, folder, operation, log, save_faults.Fault("watch"), 0
    )
    problems = [] if ending == "done" else [f"{operation} ended by {ending}"]
    done: set[bytes] = set()
    after = place / "after"
    for number in range(len(calls) + 1):
        if number:
            disk.apply(calls[number - 1])
        ended = True if number == len(calls) else None
        for views, new in disk.states():
            key = state_digest(disk.root, views, new) + bytes([ended or 0])
            if key in done:
                continue
            done.add(key)
            shutil.rmtree(after, ignore_errors=True)
            disk.write(views, new, after)
            last = calls[number - 1] if number else None
            where = f"{operation}, power cut after call {number}" + (
                f" ({last.name} {Path(last.path).name})" if last else ""
            )
            problems += [
                f"{where}: {p}" for p in save_checks.check_folder(bench, after, operation, ended)
            ]
    return len(calls), len(done), problems


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--operation", action="append")
    arguments = parser.parse_args()
    with scratch_folder() as place:
        import saves

        bench = saves.make_bench(place)
        calls, states, problems = {}, {}, []
        chosen = arguments.operation or list(saves.OPERATIONS)
        for operation in begin_within(arguments.minutes, chosen):
            calls[operation], states[operation], wrong = check_operation(bench, place, operation)
            problems += wrong
    total = sum(states.values())
    store("crash_states", {
        "planned": len(chosen), "calls": calls, "states": states, "total": total,
        "failures": len(problems), "bound": bound_of_zero(total), "problems": problems[:200],
    }, arguments.out)  # fmt: skip
    for problem in problems[:20]:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    fault_injection.run_preloaded(main)
