"""Ways to change a run folder, for `held_back_folders`.

Hashes are made again after a change of weights, as whoever means harm would do.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile_folders import Change, remove
from safetensors.torch import load_file, save_file


def reseal(folder: Path) -> None:
    """Make every manifest below `folder` agree with its files."""
    for path in folder.rglob("manifest.json"):
        seals = json.loads(path.read_text())
        for name in seals:
            file = path.parent / name
            if file.is_file():
                seals[name] = hashlib.sha256(file.read_bytes()).hexdigest()
        path.write_text(json.dumps(seals))


def reseal_after(change: Change) -> Change:
    """The change, with manifests that agree with it."""

    def apply(folder: Path, own: Path) -> None:
        change(folder, own)
        reseal(folder)

    return apply


def replace_content(name: str, data: str | bytes) -> Change:
    """Another content of a file."""
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    return reseal_after(lambda folder, own: (folder / name).write_bytes(raw))


def change_content(name: str, make: Callable[[bytes], bytes]) -> Change:
    """What `make` makes of a file."""

    def apply(folder: Path, own: Path) -> None:
        (folder / name).write_bytes(make((folder / name).read_bytes()))

    return reseal_after(apply)


def change_keys(name: str, **values: Any) -> Change:
    """Other values of keys of a JSON file; `a__b` is a key within a key."""

    def make(raw: bytes) -> bytes:
        record = json.loads(raw)
        record.pop("sha256", None)
        for key, value in values.items():
            *above, last = key.split("__")
            inner = record
            for word in above:
                inner = inner[int(word)] if isinstance(inner, list) else inner[word]
            inner[last] = value
        return json.dumps(record).encode()

    return change_content(name, make)


def change_weights(make: Callable[[dict[str, Any]], dict[str, Any]], name: str = "model") -> Change:
    """Other tensors in each weights file of that name."""

    def apply(folder: Path, own: Path) -> None:
        for path in folder.rglob(f"{name}.safetensors"):
            tensors = load_file(path)
            if tensors:
                save_file({k: t.contiguous() for k, t in make(tensors).items()}, path)

    return reseal_after(apply)


def change_tensors(make: Callable[[Any], Any], name: str = "model") -> Change:
    """The same change of all tensors."""
    return change_weights(lambda tensors: {k: make(t) for k, t in tensors.items()}, name)


def replace_entry(name: str, make: Callable[[Path], object]) -> Change:
    """Something that is no regular file."""

    def apply(folder: Path, own: Path) -> None:
        remove(folder / name)
        make(folder / name)

    return apply


def swap_files(one: str, other: str) -> Change:
    """Two files under each other's names."""

    def apply(folder: Path, own: Path) -> None:
        first, second = (folder / one).read_bytes(), (folder / other).read_bytes()
        (folder / one).write_bytes(second)
        (folder / other).write_bytes(first)

    return reseal_after(apply)


def keep_only(*names: str) -> Change:
    """Only these files are left."""

    def apply(folder: Path, own: Path) -> None:
        for path in folder.iterdir():
            if path.name not in names:
                remove(path)

    return apply


def change_states(**values: Any) -> Change:
    """Other values in the state of each checkpoint."""

    def apply(folder: Path, own: Path) -> None:
        for path in folder.glob("checkpoints/*/state.json"):
            change_keys(str(path.relative_to(folder)), **values)(folder, own)

    return apply


def bind_socket(path: Path) -> None:
    """A socket with a short name, as its path may be too long."""
    here = os.getcwd()
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)
    os.chdir(here)


def add_names(folder: Path, own: Path) -> None:
    """Files with names that no one types."""
    for name in (
        b"a\nb\x1b[31mred",
        b"\xff\xfe",
        "\u202egnp.exe".encode(),
        b"x" * 255,
        b" ",
        b"-rf",
    ):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_text("text")


def add_neighbors(folder: Path, own: Path) -> None:
    """A thousand folders beside it, and one that contains itself."""
    for number in range(1000):
        (folder.parent / f"run {number}").mkdir()
        (folder.parent / f"run {number}" / "run.json").write_text("{" * number)
    (folder / "loop").symlink_to(folder)


def add_steps(folder: Path, own: Path) -> None:
    """Checkpoints and snapshots with steps that are no such numbers."""
    for kind in ("checkpoints", "snapshots"):
        some = next(iter(sorted((folder / kind).iterdir())))
        for name in (
            "step_99999999999999999999",
            "step_-1",
            "step_8_0",
            "step_\uff18\uff18",
            "step_",
        ):
            shutil.copytree(some, folder / kind / name)


def exchange_checkpoints(folder: Path, own: Path) -> None:
    """Every checkpoint under the name of another."""
    first, *_, last = sorted((folder / "checkpoints").iterdir())
    spare = first.with_name("spare")
    first.rename(spare)
    last.rename(first)
    spare.rename(last)


def add_code(folder: Path, own: Path) -> None:
    """Code that the configuration asks for, and a pickle that runs a command."""
    harm = f"open({str(own / 'mine.txt')!r}, 'w').close()\n"
    (folder / "modeling_mine.py").write_text(harm + "class Mine: pass\n")
    (folder / "conftest.py").write_text(harm)
    (folder / "pytorch_model.bin").write_bytes(
        b"cbuiltins\nexec\n(V" + harm.strip().encode() + b"\ntR."
    )
    names = {"AutoConfig": "modeling_mine.Mine", "AutoModelForCausalLM": "modeling_mine.Mine"}
    change_keys("config.json", auto_map=names, trust_remote_code=True)(folder, own)
    template = "{% for a in range(10**9) %}{{ ''.__class__.__mro__ }}{% endfor %}"
    mapped = {"AutoTokenizer": ["modeling_mine.Mine", None]}
    change_keys("tokenizer_config.json", auto_map=mapped, chat_template=template)(folder, own)


def add_shards(folder: Path, own: Path) -> None:
    """An index of shards that lie elsewhere."""
    (folder / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {"lm_head.weight": str(own / "mine.txt")}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def add_adapter(folder: Path, own: Path) -> None:
    """An adapter of a model at an address."""
    adapter = {"peft_type": "LORA", "base_model_name_or_path": "http://192.0.2.1/model", "r": 10**9}
    (folder / "adapter_config.json").write_text(json.dumps(adapter))
    shutil.copy(folder / "model.safetensors", folder / "adapter_model.safetensors")


def change_events(make: Callable[[list[dict[str, Any]]], list[Any]]) -> Change:
    """Other events, without checksums."""

    def change(raw: bytes) -> bytes:
        events = [json.loads(line) for line in raw.splitlines()]
        for event in events:
            event.pop("crc32"), event.pop("after")
        return "".join(json.dumps(e) + "\n" for e in make(events)).encode()

    return change_content("events.jsonl", change)


def change_steps(**values: Any) -> Change:
    """Other values of every step."""
    return change_events(lambda events: [e | values if e["kind"] == "step" else e for e in events])


def change_tokenizer(**values: Any) -> Change:
    return change_keys("tokenizer.json", **values)


def cut_in_half(raw: bytes) -> bytes:
    return raw[: len(raw) // 2]


def cut_header(raw: bytes) -> bytes:
    """A header that calls itself 9 EB long."""
    return struct.pack("<Q", 2**63) + raw[8:]


def lie_about_offsets(raw: bytes) -> bytes:
    """All tensors in the same bytes."""
    (size,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + size])
    for value in header.values():
        if "data_offsets" in value:
            value["data_offsets"] = [0, value["data_offsets"][1] - value["data_offsets"][0]]
    new = json.dumps(header).encode()
    return struct.pack("<Q", len(new)) + new + raw[8 + size :]
