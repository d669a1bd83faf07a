"""Whether FSDP2 on two gloo processes gives the losses of one process, in a loop of its own.

    python benchmarks/fsdp2.py RESULT.json

descend's network and AdamW, 100 steps in float32, without descend's training loop.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn import functional

from descend.config import make_config
from descend.model.initialization import initialize
from descend.model.shape import shape_from_run_config
from descend.model.transformer import Transformer

STEPS, BATCH, SEQ_LEN, VOCAB = 100, 8, 16, 300
SIZES = {"embed_dim": 32, "num_layers": 2, "num_heads": 2, "ff_dim": 64, "seq_len": SEQ_LEN,
         "max_seq_len": SEQ_LEN}  # fmt: skip


def train(rank: int, world_size: int, folder: str) -> None:
    """Train on random tokens as one of `world_size` processes; rank 0 writes losses and sizes."""
    torch.set_num_threads(1)
    model = Transformer(shape_from_run_config(make_config(SIZES), VOCAB))
    initialize(model, 1)
    if world_size > 1:
        store = dist.FileStore(f"{folder}/store", world_size)
        dist.init_process_group("gloo", store=store, rank=rank, world_size=world_size)
        mesh = init_device_mesh("cpu", (world_size,))
        for module in [*model.blocks, model]:
            fully_shard(module, mesh=mesh)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    generator, losses = torch.Generator().manual_seed(3), []
    for _ in range(STEPS):
        tokens = torch.randint(0, VOCAB, (BATCH, SEQ_LEN + 1), generator=generator)
        tokens = tokens.chunk(world_size)[rank]
        logits = model(tokens[:, :-1])
        loss = functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        mean = loss.detach() / world_size
        if world_size > 1:
            dist.all_reduce(mean)
        losses.append(mean.item())
    own = [p.to_local() if world_size > 1 else p for p in model.parameters()]
    if rank == 0:
        result = {"losses": losses, "parameters": sum(p.numel() for p in own)}
        Path(folder, f"{world_size}.json").write_text(json.dumps(result))
    if world_size > 1:
        dist.barrier()
        dist.destroy_process_group()


def main() -> None:
    """Train alone and as two processes, and compare."""
    with tempfile.TemporaryDirectory() as folder:
        train(0, 1, folder)
        torch.multiprocessing.spawn(train, args=(2, folder), nprocs=2)
        one, two = (json.loads(Path(folder, f"{n}.json").read_text()) for n in (1, 2))
    pairs = zip(one["losses"], two["losses"], strict=True)
    result = {
        "command": "python benchmarks/fsdp2.py RESULT.json", "torch": torch.__version__,
        "steps": STEPS, "largest_difference": max(abs(a - b) for a, b in pairs),
        "parameters_of_a_process": {"one": one["parameters"], "two": two["parameters"]},
    }  # fmt: skip
    Path(sys.argv[1]).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
