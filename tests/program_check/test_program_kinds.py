"""Kinds of programs: frozen bases, hidden tokens, several heads, ends of texts, frameworks."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from descend.program_check.run_checks import check_module

from .check_source import check_source

NETWORK = """
import math
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

torch.manual_seed(0)
V, D, H, T = 40, 32, 4, 16
data = torch.randint(4, V, (4000,))

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.n1, self.n2 = nn.LayerNorm(D), nn.LayerNorm(D)
        self.q, self.k, self.v, self.o = (nn.Linear(D, D) for _ in range(4))
        self.ff = nn.Sequential(nn.Linear(D, 4 * D), nn.GELU(), nn.Linear(4 * D, D))
    def forward(self, x):
        B, N, _ = x.shape
        h = self.n1(x)
        q, k, v = (f(h).view(B, N, H, D // H).transpose(1, 2) for f in (self.q, self.k, self.v))
        a = F.scaled_dot_product_attention(q, k, v, is_causal=CAUSAL)
        x = x + self.o(a.transpose(1, 2).reshape(B, N, D))
        return x + self.ff(self.n2(x))

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok, self.pos = nn.Embedding(V, D), nn.Embedding(T, D)
        self.blocks = nn.ModuleList([Block(), Block()])
        self.norm, self.head = nn.LayerNorm(D), nn.Linear(D, V)
    def forward(self, ids):
        x = self.tok(ids) + self.pos(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = RUN
        return self.head(self.norm(x))
"""
STEP = """
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3, weight_decay=0.0)

def step(batch):
    value = loss(model, batch)
    optimizer.zero_grad()
    value.backward()
    optimizer.step()
    return value
"""  # noqa: E501
NEXT_TOKEN = """
def batches():
    while True:
        starts = torch.randint(len(data) - T - 3, (8,)).tolist()
        yield torch.stack([data[i : i + T + 2] for i in starts])

def loss(model, batch):
    return F.cross_entropy(model(batch[:, :T]).flatten(0, 1), batch[:, 1 : T + 1].flatten())
"""


def bugs_of(source: str, run: str = "block(x)", causal: bool = True) -> dict[str, str]:
    """Where each bug is that a program is said to have, by its name."""
    source = source.replace("RUN", run).replace("CAUSAL", str(causal))
    return {bug.bug: bug.where for bug in check_source(source).bugs}


NOISED = """
class Denoiser(Net):
    def forward(self, ids):
        x = self.tok(ids) + self.pos(torch.arange(ids.shape[1]))
        x = x + NOISE
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))

model = Denoiser()

def batches():
    while True:
        starts = torch.randint(len(data) - T, (8,)).tolist()
        yield torch.stack([data[i : i + T] for i in starts])

def loss(model, batch):
    return F.cross_entropy(model(batch).flatten(0, 1), batch.flatten())
"""


@pytest.mark.parametrize(
    ("noise", "bugs"),
    [
        ("torch.randn_like(x)", set()),
        ("F.dropout(x, 0.1)", {"dropout_in_evaluation", "targets_unshifted"}),
    ],
)
def test_a_network_that_adds_noise_restores_its_input(noise: str, bugs: set[str]) -> None:
    named = set(bugs_of(NETWORK + NOISED.replace("NOISE", noise) + STEP, causal=False))
    assert named - {"causal_mask_missing"} == bugs


LOW_RANK = """
class Beside(nn.Module):
    def __init__(self, base):
        super().__init__()
        self.base = base
        self.first = nn.Parameter(torch.randn(4, base.in_features) / 6)
        self.second = nn.Parameter(torch.zeros(base.out_features, 4))
    def forward(self, x):
        return self.base(x) + (x @ self.first.t() @ self.second.t())DETACH

model = Net().requires_grad_(False)
for block in model.blocks:
    block.q, block.v = Beside(block.q), Beside(block.v)
model.head.requires_grad_(True)
"""
SCALED = LOW_RANK.replace("DETACH", " * 3.0")
BOTTLENECK = """
class Narrow(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner, self.one, self.two = inner, nn.Linear(D, 6), nn.Linear(6, D)
    def forward(self, x):
        x = self.inner(x)
        return x + self.two(F.gelu(self.one(x)))

model = Net().requires_grad_(False)
for block in model.blocks:
    block.ff = Narrow(block.ff)
"""
REENTRANT, PLAIN = ("checkpoint(block, x, use_reentrant=True)",
                    "checkpoint(block, x, use_reentrant=False)")  # fmt: skip


@pytest.mark.parametrize(
    ("make", "run", "is_buggy"),
    [
        (LOW_RANK.replace("DETACH", ""), REENTRANT, True),
        (LOW_RANK.replace("DETACH", ""), PLAIN, False),
        (
            SCALED.replace("block.q, block.v =", "block.q, block.k =").replace(
                "Beside(block.v)", "Beside(block.k)"
            ),
            "block(x)",
            False,
        ),
        (LOW_RANK.replace("DETACH", ".detach()"), "block(x)", True),
        (BOTTLENECK, REENTRANT, True),
        (BOTTLENECK, "block(x)", False),
        ("model = Net()\nmodel.blocks.requires_grad_(False)\n", "block(x)", True),
    ],
)
def test_weights_frozen_depends_on_what_trains_when_the_base_is_frozen(
    make: str, run: str, is_buggy: bool
) -> None:
    bugs = bugs_of(NETWORK + make + NEXT_TOKEN + STEP, run)
    assert set(bugs) == ({"weights_frozen"} if is_buggy else set())
    assert all("program.py:" in where for where in bugs.values())


HIDDEN = """
model = Net()
MASK = 1

def batches():
    while True:
        starts = torch.randint(len(data) - T, (8,)).tolist()
        yield torch.stack([data[i : i + T] for i in starts])

def loss(model, batch):
    rate = torch.rand(len(batch), 1).clamp_min(0.15)
    hidden = torch.rand(batch.shape) < rate
    hidden[:, 0] = True
    logits = model(batch.masked_fill(hidden, MASK))
    each = F.cross_entropy(logits.transpose(1, 2), batch, reduction="none")
    return WEIGHED
"""


@pytest.mark.parametrize("weighed", ["each[hidden].mean()", "(each * hidden / rate).mean()"])
def test_network_for_hidden_tokens_sees_both_sides(weighed: str) -> None:
    """Masked tokens, and a diffusion whose rate differs from text to text."""
    source = NETWORK + HIDDEN.replace("WEIGHED", weighed) + STEP
    assert bugs_of(source, causal=False) == {}


def test_missing_mask_names_the_line_of_attention() -> None:
    bugs = bugs_of(NETWORK + "model = Net()\n" + NEXT_TOKEN + STEP, causal=False)
    (number,) = [n for n, line in enumerate(Path("program.py").read_text().splitlines(), 1)
                 if "scaled_dot" in line]  # fmt: skip
    assert list(bugs) == ["causal_mask_missing"]
    assert f"program.py:{number}" in bugs["causal_mask_missing"]


TWO_HEADS = """
class Two(Net):
    def __init__(self):
        super().__init__()
        self.ahead = nn.Linear(D, V)
    def forward(self, ids):
        x = self.tok(ids) + self.pos(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)), self.ahead(self.norm(x))

model = Two()
""" + NEXT_TOKEN.replace("    return F.cross_entropy(model(batch[:, :T])", """
    one, two = model(batch[:, :T])
    more = F.cross_entropy(two.flatten(0, 1), batch[:, 2:].flatten(), reduction="REDUCE")
    return 0.3 * more + F.cross_entropy(one""")  # fmt: skip


@pytest.mark.parametrize(("reduce", "expected"), [("sum", ["loss_not_averaged"]), ("mean", [])])
def test_auxiliary_head_is_weighed_too(reduce: str, expected: list[str]) -> None:
    assert list(bugs_of(NETWORK + TWO_HEADS.replace("REDUCE", reduce) + STEP)) == expected


OWN_LOSSES = """
class Own(Net):
    def forward(self, ids, targets=None):
        logits = super().forward(ids)
        return F.cross_entropy(logits.transpose(1, 2), targets, reduction="none")

model = Own()
""" + NEXT_TOKEN.replace(
    "    return F.cross_entropy(model(batch[:, :T]).flatten(0, 1), batch[:, 1 : T + 1].flatten())",
    "    return model(batch[:, :T], batch[:, 1 : T + 1]).REDUCE()",
)


@pytest.mark.parametrize(("reduce", "expected"), [("sum", ["loss_not_averaged"]), ("mean", [])])
def test_losses_of_tokens_that_a_network_returns_are_weighed(
    reduce: str, expected: list[str]
) -> None:
    assert list(bugs_of(NETWORK + OWN_LOSSES.replace("REDUCE", reduce) + STEP)) == expected


ENDS = """
model = Net()
PAD, EOS = PADDING, 2
pad_id = PAD

def batches():
    while True:
        rows, masks = [], []
        for _ in range(8):
            n = int(torch.randint(5, T - 3, ()))
            ids = [*torch.randint(4, V, (n,)).tolist(), EOS]
            rows.append(ids + [PAD] * (T - len(ids)))
            masks.append([1] * len(ids) + [0] * (T - len(ids)))
        yield torch.tensor(rows), torch.tensor(masks)

def loss(model, batch):
    ids, mask = batch
    labels = ids.clone()
    MASKING
    logits = model(ids)
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
"""


@pytest.mark.parametrize(
    ("pad", "masking", "is_buggy"),
    [
        ("2", "labels[ids == PAD] = -100", True),
        ("2", "labels[mask == 0] = -100", False),
        ("3", "labels[ids == PAD] = -100", False),
        ("3", "labels[(ids == PAD) | (ids == EOS)] = -100", True),
    ],
)
def test_labels_all_masked_is_reported_when_the_end_is_never_a_target(
    pad: str, masking: str, is_buggy: bool
) -> None:
    source = NETWORK + ENDS.replace("PADDING", pad).replace("MASKING", masking) + STEP
    assert list(bugs_of(source)) == (["labels_all_masked"] if is_buggy else [])


ANSWERS = """
model = Net()
EOS, SEP = 2, 3

def batches():
    while True:
        yield torch.tensor([
            [*torch.randint(4, V, (7,)).tolist(), END, *torch.randint(4, V, (7,)).tolist(), EOS]
            for _ in range(8)
        ])

def loss(model, ids):
    labels = ids.clone()
    labels[:, :BEGIN] = -100
    MASKING
    return F.cross_entropy(model(ids)[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
"""


@pytest.mark.parametrize(
    ("begin", "end", "masking", "bugs", "words"),
    [
        ("8", "SEP", "pass", [], None),
        ("9", "SEP", "pass", [], "first token of each answer may be left out"),
        ("7", "SEP", "pass", [], "end of the prompt may be a target"),
        ("9", "5 + _", "pass", [], None),
        ("0", "SEP", "pass", [], None),
        ("8", "SEP", "labels[:, -1] = -100", ["labels_all_masked"], None),
    ],
)
def test_labels_are_remarked_when_they_begin_or_end_one_token_off(
    begin: str, end: str, masking: str, bugs: list[str], words: str | None
) -> None:
    source = ANSWERS.replace("BEGIN", begin).replace("END", end).replace("MASKING", masking)
    assert list(bugs_of(NETWORK + source + STEP)) == bugs
    remarks = [r.evidence for r in check_module("program.py").remarks if "labels" in r.bug]
    assert (words in remarks[0]) if words else not remarks


def test_functions_that_no_check_ran_are_listed() -> None:
    source = NETWORK + "model = Net()\n" + NEXT_TOKEN + STEP + "\ndef generate():\n    return 1\n"
    checked = check_source(source.replace("RUN", "block(x)").replace("CAUSAL", "True"))
    listed = "\n".join(checked.not_covered)
    assert "text generation" in listed
    assert "generate (line" in listed
    assert "loss (line" not in listed


TRAINER = """
import torch
from torch.utils.data import Dataset
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

class Rows(Dataset):
    def __init__(self):
        torch.manual_seed(0)
        self.ids = torch.randint(0, 40, (800, 17))
    def __len__(self):
        return len(self.ids)
    def __getitem__(self, i):
        return {"input_ids": self.ids[i, :16], "labels": self.ids[i, SHIFT : 16 + SHIFT]}

def main():
    config = GPT2Config(vocab_size=40, n_positions=16, n_embd=32, n_layer=2, n_head=4,
                        bos_token_id=0, eos_token_id=0)
    args = TrainingArguments("out", per_device_train_batch_size=8, max_steps=50, use_cpu=True,
                             report_to="none", gradient_accumulation_steps=2)
    model = GPT2LMHeadModel(config)
    Trainer(model=model, args=args, train_dataset=Rows(), eval_dataset=Rows()).train()

if __name__ == "__main__":
    main()
"""
LIGHTNING = """
import lightning as L
import torch
from torch import nn
from torch.utils.data import DataLoader

torch.manual_seed(0)
rows = torch.randint(0, 40, (800, 17))

class Lit(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.table, self.norm = nn.Embedding(40, 32), nn.LayerNorm(32)
        layer = nn.TransformerEncoderLayer(32, 4, 64, 0.1, batch_first=True)
        self.body, self.head = nn.TransformerEncoder(layer, 1), nn.Linear(32, 40)

    def forward(self, ids):
        mask = nn.Transformer.generate_square_subsequent_mask(ids.shape[1])
        return self.head(self.norm(self.body(self.table(ids), mask=mask, is_causal=True)))

    def training_step(self, batch, index):
        loss = nn.functional.cross_entropy(self(batch[:, :-1]).transpose(1, 2), batch[:, 1:])
        CLEAR
        self.manual_backward(loss)
        self.optimizers().step()
        self.log("loss", loss)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3, weight_decay=0.0)

def main():
    loader = DataLoader(rows, batch_size=8, shuffle=True)
    L.Trainer(max_epochs=1, accelerator="cpu", logger=False).fit(Lit(), loader)

if __name__ == "__main__":
    main()
"""


def has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.skipif(not has("accelerate"), reason="the Trainer of transformers needs accelerate")
@pytest.mark.parametrize(("shift", "expected"), [("1", ["targets_shifted_twice"]), ("0", [])])
def test_trainer_in_main_is_a_program(shift: str, expected: list[str]) -> None:
    result = check_source(TRAINER.replace("SHIFT", shift))
    assert [b.bug for b in result.bugs] == expected
    assert result.num_applied >= 20
    assert all(b.where.startswith("program.py:") for b in result.bugs)


@pytest.mark.skipif(has("accelerate"), reason="accelerate is installed")
def test_missing_accelerate_is_named() -> None:
    pytest.importorskip("transformers")
    from descend.program_check.bug_report import ProgramError

    with pytest.raises(ProgramError, match="Install accelerate"):
        check_source(TRAINER.replace("SHIFT", "0"))


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.skipif(not has("lightning"), reason="lightning is not installed")
@pytest.mark.parametrize(("clear", "expected"), [
    ("pass", ["gradients_not_zeroed"]), ("self.optimizers().zero_grad()", []),
])  # fmt: skip
def test_lightning_module_is_a_program(clear: str, expected: list[str]) -> None:
    result = check_source(LIGHTNING.replace("CLEAR", clear))
    assert [b.bug for b in result.bugs] == expected
    assert result.num_applied >= 20
    assert all(b.where.startswith("program.py:") for b in result.bugs)
