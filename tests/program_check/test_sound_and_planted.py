"""Kinds of programs that the checks once passed over in silence, or accused though sound."""

from __future__ import annotations

from pathlib import Path

import pytest

from descend.program_check.probes.dry_run import dry_run
from descend.program_check.probes.train_eval_mode import draws_noise_in_training
from descend.program_check.program import load_program

from .check_source import check_source

HEAD = """
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
V, T, D = 24, 12, 32

def rows(n=400, width=T + 1):
    start, stride = torch.randint(0, V, (n, 1)), torch.randint(1, 4, (n, 1))
    return (start + stride * torch.arange(width)) % V

class Net(nn.Module):
    def __init__(self, dropout=0.0):
        super().__init__()
        self.tok, self.drop = nn.Embedding(V, D), nn.Dropout(dropout)
        self.rnn, self.head = nn.GRU(D, D, batch_first=True), nn.Linear(D, V)
    def forward(self, x):
        return self.head(self.rnn(self.drop(self.tok(x)))[0])

def loss_of(logits, targets):
    return F.cross_entropy(logits.flatten(0, -2), targets.flatten())

data = rows()
"""
LOOP = """
for step in range(200):
    x = data[torch.randint(len(data), (8,))]
    optimizer.zero_grad()
    loss_of(net(x[:, :-1]), x[:, 1:]).backward()
    optimizer.step()
"""
PARTS = """
net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
for i in range(300):
    x = data[torch.randint(len(data), (8,))]
    optimizer.zero_grad()  # LINE
    (loss_of(net(x[:, :-1]), x[:, 1:]) / 3).backward()
    if i % 3 == 2:
        optimizer.step()
"""
LAYERS = (
    """
class Stack(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok, self.rnn = nn.Embedding(V, D), nn.GRU(D, D, batch_first=True)
        self.extra = {"a": nn.Linear(D, D), "b": nn.Linear(D, D)}  # LINE
        self.head = nn.Linear(D, V)
    def forward(self, x):
        h = self.rnn(self.tok(x))[0]
        for layer in self.extra.values():
            h = h + torch.tanh(layer(h))
        return self.head(h)
net = Stack()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
"""
    + LOOP
)
TWO_NETWORKS = """
class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Sequential(nn.Linear(16, D), nn.Tanh(), nn.Linear(D, D))
    def forward(self, x):
        return self.lin(x)BODY
class Writer(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok, self.rnn = nn.Embedding(V, D), nn.GRU(D, D, batch_first=True)
        self.head = nn.Linear(D, V)
    def forward(self, seen, ids):
        inputs = torch.cat([seen[:, None], self.tok(ids[:, :-1])], 1)
        return self.head(self.rnn(inputs)[0])
reader, writer = Reader(), Writer()
optimizer = torch.optim.Adam(WEIGHTS, lr=1e-3)
pictures = torch.randn(400, 16)
for step in range(200):
    i = torch.randint(len(data), (8,))
    optimizer.zero_grad()
    loss_of(writer(reader(pictures[i]), data[i]), data[i]).backward()
    optimizer.step()
"""
BOTH = "[*reader.parameters(), *writer.parameters()]"
POSITIONS = (
    """
class Attends(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok = nn.Embedding(V, D)
        self.place = nn.Embedding(T, D)
        self.qkv, self.head = nn.Linear(D, 3 * D), nn.Linear(D, V)
    def forward(self, x):
        p = self.place(torch.arange(x.shape[1]))  # LINE
        q, k, v = self.qkv(self.tok(x)).chunk(3, -1)
        return self.head(F.scaled_dot_product_attention(q, k, v, is_causal=True))
net = Attends()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
"""
    + LOOP
)
CYCLES = """
def run_epoch(net, loader, optimizer, decay):
    for (x,) in loader:
        optimizer.zero_grad()
        loss_of(net(x[:, :-1]), x[:, 1:]).backward()
        optimizer.step()
        decay.step()  # LINE

def main():
    net, num_epochs = Net(), 5
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=LENGTH)
    loader = DataLoader(TensorDataset(data), batch_size=8, shuffle=True)
    for epoch in range(num_epochs):
        run_epoch(net, loader, optimizer, decay)

if __name__ == "__main__":
    main()
"""
CLASSES = """
class Judge(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok, self.out = nn.Embedding(V, D), nn.Linear(D, 2)
    def forward(self, x):
        return F.softmax(self.out(self.tok(x).mean(1)), -1)
net = Judge()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
labels = (data[:, 0] > V // 2).long()
for step in range(200):
    i = torch.randint(len(data), (8,))
    optimizer.zero_grad()
    LOSS.backward()
    optimizer.step()
"""
SCALED = """
net = Net()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
scaler = torch.amp.GradScaler("cpu")
for step in range(200):
    x = data[torch.randint(len(data), (8,))]
    optimizer.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = loss_of(net(x[:, :-1]).float(), x[:, 1:])
    scaler.scale(loss).backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
"""
RARELY = (
    """
net = Net(0.3)
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
held_out = rows(40)
net.train()
"""
    + LOOP
    + """
    if step % 150 == 149:
        BEFORE
        with torch.no_grad():
            print("held out", loss_of(net(held_out[:, :-1]), held_out[:, 1:]).item())
        AFTER
"""
)
WITH_FUNCTION = """
def train_step(net, x, optimizer):
    loss = loss_of(net(x[:, :-1]), x[:, 1:])
    INSIDE
    loss.backward()
    optimizer.step()
    return loss

def evaluate(net, x):
    with torch.no_grad():
        return loss_of(net(x[:, :-1]), x[:, 1:]).item()

def main():
    net = Net(0.3)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    for epoch in range(3):
        net.train()
        for (x,) in DataLoader(TensorDataset(data), batch_size=8, shuffle=True):
            OUTSIDE
            train_step(net, x, optimizer)
        MODE
        print("valid", evaluate(net, rows(40)))

if __name__ == "__main__":
    main()
"""


def with_function(inside: str, outside: str, mode: str) -> str:
    return WITH_FUNCTION.replace("INSIDE", inside).replace("OUTSIDE", outside).replace("MODE", mode)


def two_networks(weights: str, body: str = "") -> str:
    return TWO_NETWORKS.replace("WEIGHTS", weights).replace("BODY", body)


EARLY = """
net = Net()
optimizer = torch.optim.RMSprop(net.parameters(), lr=1e-3)
for step in range(200):
    x = data[torch.randint(len(data), (8,))]
    optimizer.zero_grad()  # LINE
    loss = loss_of(net(x[:, :-1]), x[:, 1:])
    optimizer.step()
    loss.backward()
"""
PLANTED = {
    "a step before backward": ("step_never_called", EARLY),
    "gradients cleared for each part": ("accumulation_misreduced", PARTS),
    "layers in a plain dict": ("weights_not_in_optimizer", LAYERS),
    "a network left out": ("weights_not_in_optimizer", two_networks("writer.parameters()")),
    "a network cut off": ("weights_frozen", two_networks(BOTH, ".detach()  # LINE")),
    "a table without use": ("positions_missing", POSITIONS),
    "a cosine of epochs in steps": (
        "scheduler_step_misplaced", CYCLES.replace("LENGTH", "num_epochs")
    ),
    "two probabilities": (
        "softmax_before_cross_entropy", CLASSES.replace("LOSS", "loss_of(net(data[i]), labels[i])")
    ),
    "clipped while scaled": ("float16_unscaled", SCALED),
    "left in evaluation, rarely": (
        "left_in_evaluation_mode", RARELY.replace("BEFORE", "net.eval()").replace("AFTER", "pass")
    ),
    "never in evaluation, rarely": (
        "dropout_in_evaluation", RARELY.replace("BEFORE", "pass").replace("AFTER", "pass")
    ),
    "a step without its clear": ("gradients_not_zeroed", with_function("", "", "net.eval()")),
    "a caller without mode": (
        "dropout_in_evaluation", with_function("", "optimizer.zero_grad()", "")
    ),
}  # fmt: skip

COPIES = """
class Copies(nn.Module):
    def __init__(self):
        super().__init__()
        self.source, self.target = nn.Embedding(V + 1, D), nn.Embedding(V + 1, D)
        self.reads = nn.GRU(D, D, batch_first=True)
        self.writes, self.head = nn.GRU(D, D, batch_first=True), nn.Linear(2 * D, V + 1)
    def forward(self, source, target):
        memory, state = self.reads(self.source(source))
        h, _ = self.writes(self.target(target), state)
        seen = (h @ memory.transpose(1, 2)).softmax(-1) @ memory
        return self.head(torch.cat([h, seen], -1))
net = Copies()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
for step in range(200):
    x = data[torch.randint(len(data), (8,))]
    begin = torch.full((8, 1), V)
    optimizer.zero_grad()
    loss_of(net(x, torch.cat([begin, x[:, :-1]], 1)), x).backward()
    optimizer.step()
"""
RESTORES = """
class Restores(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok, self.head = nn.Embedding(V, D), nn.Linear(D, V)
        self.down = nn.GRU(D, 8, batch_first=True, bidirectional=True)
        self.up = nn.GRU(16, D, batch_first=True)
    def forward(self, x):
        code = self.down(self.tok(x))[0].mean(1, keepdim=True)
        return self.head(self.up(code.expand(-1, x.shape[1], -1))[0])
net = Restores()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
for step in range(200):
    x = data[torch.randint(len(data), (8,))]
    optimizer.zero_grad()
    loss_of(net(x), x).backward()
    optimizer.step()
"""
WHOLE = """
data = rows(60)
net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
for epoch in range(100):
    optimizer.zero_grad()
    loss_of(net(data[:, :-1]), data[:, 1:]).backward()
    optimizer.step()
"""
CARRIES = """
class Carries(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok, self.head = nn.Embedding(V, D), nn.Linear(D, V)
        self.rnn = nn.GRU(D, D, batch_first=True)
    def forward(self, x, state):
        h, state = self.rnn(self.tok(x), state)
        return self.head(h), state
text = torch.randint(0, V, (3000,)) * torch.randint(0, 2, (3000,))
net = Carries()
optimizer = torch.optim.Adagrad(net.parameters(), lr=1e-1)
state, place = torch.zeros(1, 1, D), 0
for step in range(200):
    x, y = text[None, place : place + T], text[None, place + 1 : place + T + 1]
    logits, state = net(x, STATE)
    optimizer.zero_grad()
    loss_of(logits, y).backward()
    optimizer.step()
    place += T
"""
WARMS = """
net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
warm = torch.optim.lr_scheduler.StepLR(optimizer, 2)
loader = DataLoader(TensorDataset(data), batch_size=8, shuffle=True)
for epoch in range(6):
    for (x,) in loader:
        optimizer.zero_grad()
        loss_of(net(x[:, :-1]), x[:, 1:]).backward()
        optimizer.step()
    warm.step()
"""
RETURNS = (
    """
def save_checkpoint(path):
    torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict()}, path)

def load_checkpoint(path):
    return torch.load(path)

net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
"""
    + LOOP
)
SHARP = """
net = Net()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for step in range(200):
    x = data[torch.randint(len(data), (8,))]
    optimizer.zero_grad()
    loss_of(net(x[:, :-1]), x[:, 1:]).backward()
    moves = [0.05 * p.grad / p.grad.norm().clamp_min(1e-9) for p in net.parameters()]
    with torch.no_grad():
        [p.add_(m) for p, m in zip(net.parameters(), moves)]
    optimizer.zero_grad()
    loss_of(net(x[:, :-1]), x[:, 1:]).backward()
    with torch.no_grad():
        [p.sub_(m) for p, m in zip(net.parameters(), moves)]
    optimizer.step()
"""
BINARY = "F.binary_cross_entropy(net(data[i]), F.one_hot(labels[i], 2).float())"
SOUND = {
    "gradients of all parts": PARTS.replace(
        "    optimizer.zero_grad()  # LINE\n", ""
    ) + "        optimizer.zero_grad()\n",
    "layers in a ModuleDict": LAYERS.replace('{"a"', 'nn.ModuleDict({"a"').replace(
        'nn.Linear(D, D)}', 'nn.Linear(D, D)})'
    ),
    "two networks, and a shift inside": two_networks(BOTH),
    "positions": POSITIONS.replace("self.qkv(self.tok(x))", "self.qkv(self.tok(x) + p)"),
    "a cosine of steps": CYCLES.replace("LENGTH", "num_epochs * 50"),
    "two probabilities, each alone": CLASSES.replace("LOSS", BINARY),
    "evaluated under an if": RARELY.replace("BEFORE", "net.eval()").replace("AFTER", "net.train()"),
    "a step in two places": with_function("", "optimizer.zero_grad()", "net.eval()"),
    "a step in one place": with_function("optimizer.zero_grad()", "", "net.eval()"),
    "a copy by encoder and decoder": COPIES,
    "an autoencoder": RESTORES,
    "all rows in each step": WHOLE,
    "a state that is carried on": CARRIES.replace("STATE", "state.detach()"),
    "a schedule by another name": WARMS,
    "a load that returns": RETURNS,
    "two gradients of one batch": SHARP,
}  # fmt: skip


@pytest.mark.parametrize("kind", PLANTED)
def test_check_names_the_bug_when_it_is_planted(kind: str) -> None:
    bug, source = PLANTED[kind]
    report = check_source(HEAD + source)
    assert [b.bug for b in report.bugs] == [bug], report.bugs
    lines = (HEAD + source).splitlines()
    marked = [n for n, line in enumerate(lines, 1) if "# LINE" in line]
    if marked:
        assert f":{marked[0]}" in report.bugs[0].where


@pytest.mark.parametrize("kind", SOUND)
def test_check_finds_nothing_when_the_program_is_sound(kind: str) -> None:
    report = check_source(HEAD + SOUND[kind])
    assert report.bugs == []
    assert report.num_applied >= 10


def test_check_finds_unshuffled_batches_when_no_state_is_carried_on() -> None:
    report = check_source(HEAD + CARRIES.replace("STATE", "torch.zeros(1, 1, D)"))
    assert [b.bug for b in report.bugs] == ["not_shuffled"]


NOISY = """
class Noisy(Net):
    def forward(self, x):
        h = self.rnn(self.tok(x))[0]
        return self.head(h + NOISE)
net = Noisy()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
""" + LOOP  # fmt: skip


@pytest.mark.parametrize(("noise", "draws"), [
    ("torch.randn_like(h) if self.training else h", True), ("F.dropout(h, 0.1)", False),
])  # fmt: skip
def test_draws_noise_in_training_says_the_same_when_steps_were_made(
    noise: str, draws: bool
) -> None:
    Path("program.py").write_text(HEAD + NOISY.replace("NOISE", noise))
    untouched, stepped = load_program("program.py"), load_program("program.py")
    assert stepped.run_probe_once(dry_run).calls > 0
    answers = [p.run_probe_once(draws_noise_in_training) for p in (untouched, stepped)]
    assert answers == [draws, draws]
