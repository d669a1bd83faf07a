"""Healthy programs with something that looks like a bug, at least one a bug."""

from __future__ import annotations

from pieces import swap
from styles import LOSSES, MASKED, NETWORKS, STEPS, SUPPLIES, WARMUP, Piece

ALIKE: dict[str, dict[str, Piece]] = {
    "causal_mask_missing": {"shifted by padding": NETWORKS["convolution"], "large number": NETWORKS["mask of -1e9"]},
    "causal_mask_leaky": {"batch norm in training": swap("block", ("nn.LayerNorm(D), nn.LayerNorm(D)", "nn.LayerNorm(D), Over()"),
        ("class Block", "class Over(nn.BatchNorm1d):\n    def __init__(self):\n        super().__init__(D)\n\n    def forward(self, x):\n        return super().forward(x.transpose(1, 2)).transpose(1, 2)\n\nclass Block"))},
    "examples_mixed": {"batch norm in training": swap("block", ("nn.LayerNorm(D), nn.LayerNorm(D)", "nn.LayerNorm(D), Over()"),
        ("class Block", "class Over(nn.BatchNorm1d):\n    def __init__(self):\n        super().__init__(D)\n\n    def forward(self, x):\n        return super().forward(x.transpose(1, 2)).transpose(1, 2)\n\nclass Block")),
        "transposed there and back": {**NETWORKS["lstm"], "model": NETWORKS["lstm"]["model"].replace("batch_first=True, ", "").replace(
            "self.rnn(self.tokens(ids), state)", "self.rnn(self.tokens(ids).transpose(0, 1), state)").replace("self.head(x)", "self.head(x.transpose(0, 1))")}},
    "targets_unshifted": {"equal neighbours": {"data": "\ndata = torch.tensor(tokenizer.encode(text)).repeat_interleave(12)\n"}},
    "targets_shifted_twice": {"labels equal ids": NETWORKS["transformers GPT-2"]},
    "dropout_in_evaluation": {"follows the mode": swap("attention", ("self.dropout(scores.softmax(-1))", "F.dropout(scores.softmax(-1), dropout, self.training)")),
        "off by hand": swap("attention", ("self.dropout(scores.softmax(-1))", "F.dropout(scores.softmax(-1), 0.0)"))},
    "left_in_evaluation_mode": {"loaded, then trained": {"make": "\nmodel = Model()\nmodel.eval()\n"}},
    "gradients_not_zeroed": {"over calls": STEPS["parts over calls"], "zeroed by the network": swap("step", ("optimizer.zero_grad()", "model.zero_grad()")),
        "set to zero": swap("step", ("optimizer.zero_grad()", "[p.grad.zero_() for p in model.parameters() if p.grad is not None]"))},
    "weights_frozen": {"sinusoids": NETWORKS["sinusoids"], "adapters": {"make": """
class Adapted(nn.Module):
    def __init__(self, linear):
        super().__init__()
        self.linear = linear
        self.lora_a, self.lora_b = nn.Parameter(torch.randn(4, linear.in_features) * 0.1), nn.Parameter(torch.zeros(linear.out_features, 4))

    def forward(self, x):
        return self.linear(x) + x @ self.lora_a.T @ self.lora_b.T

model = Model()
model.requires_grad_(False)
for block in model.blocks:
    block.ff[0] = Adapted(block.ff[0])
""", "optimizer": "\noptimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)\n"}},
    "weights_not_in_optimizer": {"two optimizers": STEPS["two optimizers"], "unused": {"optimizer": "\nused = [p for n, p in model.named_parameters() if 'spare' not in n]\noptimizer = torch.optim.Adam(used, lr=1e-3)\n", **NETWORKS["unused layer"]}},
    "step_never_called": {"eight calls": {"step": STEPS["parts over calls"]["step"].replace("= 4, 0", "= 8, 0")},
        "sixteen calls": {"step": STEPS["parts over calls"]["step"].replace("= 4, 0", "= 16, 0")}},
    "scheduler_step_misplaced": {"by epochs": STEPS["schedule by epochs"], "after the accumulation": {"schedule": WARMUP,
        "step": STEPS["parts over calls"]["step"].replace("        optimizer.zero_grad()\n", "        optimizer.zero_grad()\n        scheduler.step()\n")},
        "plateau": {"schedule": "\nscheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=3)\n"}
        | swap("step", ("    optimizer.step()\n", "    optimizer.step()\n    scheduler.step(value.item())\n"))},
    "tokenizer_mismatch": {"rounded up": {"sizes": "\nV, D, H, L, T, B = 64, 32, 4, 2, 24, 8\ndropout = 0.1\n"},
        "lower case": {"tokenizer": "\nclass Lower:\n    def __init__(self, text):\n        self.chars = sorted(set(text.lower()))\n        self.vocab_size = len(self.chars)\n\n    def encode(self, text):\n        return [self.chars.index(c) for c in text.lower() if c in self.chars]\n\n    def decode(self, ids):\n        return ''.join(self.chars[int(i)] for i in ids)\n\ntext = text.title()\ntokenizer = Lower(text)\n"},
        "filled up with the end": SUPPLIES["padded"] | {"tokenizer": """
class Ended:
    def __init__(self, text):
        self.chars = sorted(set(text))
        self.vocab_size = len(self.chars)

    def __len__(self):
        return len(self.chars) + 1

    def encode(self, text):
        return [self.chars.index(c) for c in text]

    def decode(self, ids):
        return ''.join((self.chars + ['<|endoftext|>'])[int(i)] for i in ids)

tokenizer = Ended(text)
""", "batches": SUPPLIES["padded"]["batches"].replace("(longest - len(s))", "(2 * longest - len(s))")}},
    "padding_in_loss": {"first end counts": SUPPLIES["padded"] | {"loss": """
def loss(model, batch):
    targets = batch[:, 1:].clone()
    after = (targets == pad_id).cumsum(1) > 1
    logits = model(batch[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), targets.masked_fill(after, -100).flatten())
"""}, "by a mask": SUPPLIES["padded dictionaries"] | {"loss": """
def loss(model, batch):
    ids, mask = batch["input_ids"], batch["attention_mask"][:, 1:].float()
    each = F.cross_entropy(model(ids)[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none")
    return (each * mask).sum() / mask.sum()
"""}},
    "padding_mask_inverted": {"right way round": MASKED, "hides nothing": MASKED | {"model": MASKED["model"].replace("ids == pad_id", "torch.zeros_like(ids).bool()")}},
    "not_shuffled": {"streams that go on": {**NETWORKS["lstm"], "batches": """
def batches():
    rows = data[: len(data) // B * B].view(B, -1)
    for n in range(0, rows.shape[1] - T - 1, T):
        yield rows[:, n : n + T + 1]
"""}, "loader of random windows": {"batches": """
class Draws(torch.utils.data.Dataset):
    def __len__(self):
        return 1000

    def __getitem__(self, n):
        i = random.randrange(len(data) - T - 1)
        return data[i : i + T + 1]

batches = torch.utils.data.DataLoader(Draws(), batch_size=B)
"""}},
    "batches_repeated": {"small text, many epochs": {"data": "\ndata = torch.tensor(tokenizer.encode(text))[:2000]\n", "batches": """
def batches():
    while True:
        for part in (torch.randperm(80) * T).split(B):
            yield torch.stack([data[i : i + T + 1] for i in part])
"""}},
    "accumulation_misreduced": {"a little unequal": SUPPLIES["padded"] | {"step": STEPS["parts of a batch"]["step"].replace("batch.chunk(4)", "batch.split(2)")},
                                "two views": {"step": """
def step(batch):
    model.train()
    optimizer.zero_grad()
    value = 0.5 * loss(model, batch) + 0.5 * loss(model, batch)
    value.backward()
    optimizer.step()
"""}, "divided by count": STEPS["divided afterwards"]},
    "loss_not_averaged": {"sum over count": LOSSES["sum over count"], "afterwards": STEPS["divided afterwards"]},
    "softmax_before_cross_entropy": {"log-softmax": LOSSES["network returns log-probabilities"], "probabilities": LOSSES["network returns probabilities"],
        "smoothed": LOSSES["smoothed"], "log-softmax, then again": swap("model", ("return self.head(self.norm(x))", "return self.head(self.norm(x)).log_softmax(-1)"))},
    "targets_broadcast": {"second loss": swap("loss", ("batch[:, 1:].reshape(-1))", "batch[:, 1:].reshape(-1)) + 0.01 * F.mse_loss(logits.mean((1, 2)), batch.float().mean(1) / V)"))},
    "decay_on_norms": {"torch's default": STEPS["adamw's defaults"], "no norms": NETWORKS["lstm"] | {"optimizer": "\noptimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)\n"}},
    "float16_unscaled": {"bfloat16": STEPS["bfloat16"], "scaled": STEPS["float16 and scaler"], "judged only": {"more": """
@torch.no_grad()
def evaluate():
    model.eval()
    with torch.autocast("cpu", dtype=torch.float16):
        value = sum(loss(model, batch).item() for _, batch in zip(range(2), batches()))
    model.train()
    return value
"""}},
    "attention_scale_missing": {"in the weights": NETWORKS["scale in the weights"], "before": NETWORKS["scaled queries"], "learned": NETWORKS["query-key norm"]},
    "positions_missing": {"distance": NETWORKS["bias by distance"], "rotary": NETWORKS["rotary"], "recurrent": NETWORKS["lstm"]},
    "initialization_symmetric": {"zero head and gates": NETWORKS["zero head and gates"], "orthogonal": {"make": "\nmodel = Model()\nfor m in model.modules():\n    if isinstance(m, nn.Linear):\n        nn.init.orthogonal_(m.weight)\n"}},
    "initialization_exploding": {"tied": NETWORKS["tied, as torch draws"], "large embedding": {"make": "\nmodel = Model()\nnn.init.normal_(model.tokens.weight, std=4.0)\n"}},
    "optimizer_state_not_resumed": {"all of it": {"more": "\ndef save(path):\n    torch.save({'model': model.state_dict(), 'optimizer': optimizer.state_dict()}, path)\n\ndef resume(path):\n    state = torch.load(path)\n    model.load_state_dict(state['model'])\n    optimizer.load_state_dict(state['optimizer'])\n"}},
    "labels_all_masked": {"prompt masked": SUPPLIES["prompt masked"], "nearly all": SUPPLIES["prompt masked"] | {"batches": SUPPLIES["prompt masked"]["batches"].replace("labels[:, : T // 2]", "labels[:, : T - 2]")}},
    "checkpoint_not_loaded": {"body only": {"make": "\nmodel = Model()\nweights = {k: v for k, v in Model().state_dict().items() if 'head' not in k}\nmodel.load_state_dict(weights, strict=False)\n"},
        "a teacher": {"make": "\nmodel = Model()\nteacher = Model()\nteacher.load_state_dict(Model().state_dict())\n"}},
}  # fmt: skip
