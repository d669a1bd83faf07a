"""Programs with one bug each, several a bug, in the styles that people plant them by accident."""

from __future__ import annotations

from pieces import swap
from styles import MASKED, NETWORKS, STEP_WITH_SCHEDULE, STEPS, SUPPLIES, WARMUP, Piece

NO_SCALE = (" / math.sqrt(C // H)", "")
EVALUATION = """
@torch.no_grad()
def evaluate():
    @@
    return sum(loss(model, batch).item() for _, batch in zip(range(2), batches())) / 2
"""

UNEQUAL_PARTS = SUPPLIES["padded"] | {
    "step": STEPS["parts of a batch"]["step"].replace("batch.chunk(4)", "batch.split(2)"),
    "batches": SUPPLIES["padded"]["batches"].replace(
        "        longest =",
        "        picked = [s if n >= 2 else s[:3] for n, s in enumerate(picked)]\n        longest =",
    ),
}
"""Two tokens a row are targets in the first part, all in the others."""

PLANTED: dict[str, dict[str, Piece]] = {
    "causal_mask_missing": {
        "no mask": swap("attention", ('        scores = scores.masked_fill(mask, float("-inf"))\n', "")),
        "fused": NETWORKS["fused attention"] | {"attention": NETWORKS["fused attention"]["attention"].replace("is_causal=True, ", "")},
        "encoder": {**NETWORKS["torch encoder"], "model": NETWORKS["torch encoder"]["model"].replace(
            "x, mask=nn.Transformer.generate_square_subsequent_mask(n), is_causal=True", "x")},
        "both ways": {**NETWORKS["lstm"], "model": NETWORKS["lstm"]["model"].replace("batch_first=True, ", "batch_first=True, bidirectional=True, ").replace(
            "nn.LSTM(D, 2 * D", "nn.LSTM(D, D")},
    },
    "causal_mask_leaky": {
        "off by one": swap("attention", ("diagonal=1", "diagonal=2")),
        "too small": swap("attention", ('float("-inf")', "-3.0")),
        "one layer": swap("block", ("Attention()", "Attention()\n        self.first = not made\n        made.append(self)"),
                          ("x = x + self.attention(self.n1(x))", "x = x + (self.attention(self.n1(x)) if not self.first else self.attention(self.n1(x).flip(1)).flip(1))"),
                          ("class Block", "made = []\n\nclass Block")),
        "norm over time": swap("block", ("return x + self.ff(self.n2(x))", "x = x - x.mean(1, keepdim=True)\n        return x + self.ff(self.n2(x))")),
        "padded on both sides": {**NETWORKS["convolution"], "block": NETWORKS["convolution"]["block"].replace("(self.reach, 0)", "(self.reach // 2, self.reach // 2)")},
        "after softmax": swap("attention", ('scores = scores.masked_fill(mask, float("-inf"))', "pass"),
                              ("weights = self.dropout(scores.softmax(-1))", "weights = self.dropout(scores.softmax(-1).masked_fill(mask, 0.0))")),
    },
    "examples_mixed": {
        "encoder": {**NETWORKS["torch encoder"], "model": NETWORKS["torch encoder"]["model"].replace("batch_first=True, ", "").replace("n = ids.shape[1]", "n, rows = ids.shape[1], ids.shape[0]").replace(
            "subsequent_mask(n)", "subsequent_mask(rows)")},
        "lstm": {**NETWORKS["lstm"], "model": NETWORKS["lstm"]["model"].replace("batch_first=True, ", "")},
        "norm over the batch": swap("block", ("return x + self.ff(self.n2(x))", "x = x - x.mean(0, keepdim=True)\n        return x + self.ff(self.n2(x))")),
    },
    "targets_unshifted": {
        "same slice": swap("loss", ("batch[:, 1:]", "batch[:, :-1]")),
        "pairs": SUPPLIES["pairs"] | {"batches": SUPPLIES["pairs"]["batches"].replace("data[i + 1 : i + T + 1]", "data[i : i + T]")},
        "dictionary": SUPPLIES["prompt masked"] | {"loss": SUPPLIES["prompt masked"]["loss"].replace("logits[:, :-1]", "logits").replace('["labels"][:, 1:]', '["labels"]')},
    },
    "targets_shifted_twice": {
        "transformers": NETWORKS["transformers GPT-2"] | {"batches": NETWORKS["transformers GPT-2"]["batches"].replace(
            '"labels": ids.clone()', '"labels": torch.stack([data[i + 1 : i + T + 1] for i in starts])')},
        "pairs": SUPPLIES["pairs"] | {"loss": SUPPLIES["pairs"]["loss"].replace("model(x).view(-1, V), y.view(-1)", "model(x)[:, :-1].reshape(-1, V), y[:, 1:].reshape(-1)")},
    },
    "dropout_in_evaluation": {
        "functional": swap("attention", ("self.dropout(scores.softmax(-1))", "F.dropout(scores.softmax(-1), dropout)")),
        "fused": {"attention": NETWORKS["fused attention"]["attention"].replace("dropout if self.training else 0.0", "dropout")},
        "no eval()": {"more": EVALUATION.replace("@@", "pass")},
    },
    "left_in_evaluation_mode": {
        "from the start": {"make": "\nmodel = Model()\nmodel.eval()\n"} | swap("step", ("    model.train()\n", "")),
        "after evaluation": {"more": EVALUATION.replace("@@", "model.eval()")} | swap("step", ("    model.train()\n", "")),
        "every ten steps": swap("step", ("    model.train()\n", ""), ("def step(batch):", "count = 0\nmodel.train()\ndef step(batch):\n    global count\n    count += 1"),
                                ("    return value", "    if count % 10 == 0:\n        model.eval()\n        with torch.no_grad():\n            loss(model, batch)\n    return value")),
    },
    "gradients_not_zeroed": {
        "forgotten": swap("step", ("    optimizer.zero_grad()\n", "")),
        "no clip": swap("step", ("    optimizer.zero_grad()\n", ""), ("    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n", "")),
        "accumulated": {"step": STEPS["parts over calls"]["step"].replace("        optimizer.zero_grad()\n", "")},
        "sgd": {"optimizer": "\noptimizer = torch.optim.SGD(model.parameters(), lr=0.01)\n"} | swap("step", ("    optimizer.zero_grad()\n", "")),
    },
    "weights_frozen": {
        "requires_grad": {"make": "\nmodel = Model()\nfor p in model.blocks.parameters():\n    p.requires_grad = False\n"},
        "detached": swap("block", ("x + self.ff(self.n2(x))", "x + self.ff(self.n2(x)).detach()")),
        "no_grad": swap("model", ("            x = block(x)", "            with torch.no_grad():\n                x = block(x)")),
        "filtered": {"make": "\nmodel = Model()\nfor p in model.blocks[0].parameters():\n    p.requires_grad_(False)\n",
                     "optimizer": "\noptimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3, weight_decay=0.0)\n"},
    },
    "weights_not_in_optimizer": {
        "only the blocks": {"optimizer": "\noptimizer = torch.optim.Adam(model.blocks.parameters(), lr=1e-3)\n"},
        "head added later": {"optimizer": "\noptimizer = torch.optim.Adam(model.parameters(), lr=1e-3)\nmodel.head = nn.Linear(D, V)\n"},
        "another copy": {"optimizer": "\noptimizer = torch.optim.Adam(model.parameters(), lr=1e-3)\nmodel = Model()\n"},
    },
    "step_never_called": {
        "forgotten": swap("step", ("    optimizer.step()\n", "")),
        "cleared": swap("step", ("    optimizer.zero_grad()\n", ""), ("    optimizer.step()\n", "    optimizer.zero_grad()\n    optimizer.step()\n")),
        "accumulated": {"step": STEPS["parts over calls"]["step"].replace("    calls += 1\n", "")
                        .replace("if calls % accumulate == 0:", "if calls and calls % accumulate == 0:")},
    },
    "scheduler_step_misplaced": {
        "never": {"schedule": WARMUP},
        "twice": {"schedule": WARMUP} | swap("step", ("    optimizer.step()\n", "    optimizer.step()\n    scheduler.step()\n    scheduler.step()\n")),
        "before": {"schedule": WARMUP} | swap("step", ("    optimizer.step()\n", "    scheduler.step()\n    optimizer.step()\n")),
        "by part": {"schedule": WARMUP, "step": STEPS["parts of a batch"]["step"].replace("        total +=", "        scheduler.step()\n        total +=")},
        "by epoch": {"schedule": "\nscheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=5 * math.ceil((len(data) - 1) // T / B))\n", **SUPPLIES["epochs"],
                     "more": "\nif __name__ == '__main__':\n    for epoch in range(5):\n        for batch in batches(epoch):\n            step(batch)\n        scheduler.step()\n"},
        "stands still": {"step": STEPS["rate by hand"]["step"].replace("    done += 1\n", "")},
        "another optimizer": {"schedule": WARMUP + "optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)\n"} | STEP_WITH_SCHEDULE,
    },
    "tokenizer_mismatch": {
        "larger": {"sizes": "\nV, D, H, L, T, B = tokenizer.vocab_size - 3, 32, 4, 2, 24, 8\ndropout = 0.1\n",
                   "data": "\ndata = torch.tensor([i for i in tokenizer.encode(text) if i < tokenizer.vocab_size - 3])\n"},
        "another order": {"data": "\ndata = torch.tensor(tokenizer.encode(text))\nclass Other(CharTokenizer):\n    def __init__(self, text):\n        super().__init__(text)\n        random.shuffle(self.chars)\n        self.ids = {c: i for i, c in enumerate(self.chars)}\ntokenizer = Other(text)\n"},
        "smaller": {"data": "\ndata = torch.tensor(tokenizer.encode(text))\nold = tokenizer\ntokenizer = CharTokenizer(text[:20])\n",
                    "sizes": "\nV, D, H, L, T, B = old.vocab_size, 32, 4, 2, 24, 8\ndropout = 0.1\n"},
    },
    "padding_in_loss": {
        "no ignore_index": SUPPLIES["padded"] | {"loss": SUPPLIES["padded"]["loss"].replace(", ignore_index=pad_id", "")},
        "unmasked labels": SUPPLIES["padded dictionaries"] | {"batches": SUPPLIES["padded dictionaries"]["batches"].replace("ids.masked_fill(mask == 0, -100)", "ids.clone()")},
        "unnamed": SUPPLIES["padded"] | {"batches": SUPPLIES["padded"]["batches"].replace("pad_id", "filler"),
                                         "loss": SUPPLIES["padded"]["loss"].replace(", ignore_index=pad_id", "")},
    },
    "padding_mask_inverted": {
        "encoder": MASKED | {"model": MASKED["model"].replace("ids == pad_id", "ids != pad_id")},
        "mask of numbers": MASKED | {"model": MASKED["model"].replace("ids == pad_id", "torch.zeros(ids.shape).masked_fill(ids != pad_id, -math.inf)")},
        "attention": SUPPLIES["padded"] | swap(
            "model", ("def forward(self, ids):", "def forward(self, ids):\n        Attention.ids = ids")
        ) | {"attention": NETWORKS["torch attention"]["attention"].replace(
            "attn_mask=mask", "attn_mask=mask, key_padding_mask=Attention.ids != pad_id")},
    },
    "not_shuffled": {
        "loader": SUPPLIES["shuffled loader"] | {"batches": SUPPLIES["shuffled loader"]["batches"].replace("shuffle=True", "shuffle=False")},
        "generator": {"batches": SUPPLIES["epochs"]["batches"].replace("torch.randperm((len(data) - 1) // T, generator=torch.Generator().manual_seed(seed))", "torch.arange((len(data) - 1) // T)")},
        "list": {"batches": SUPPLIES["shuffled list"]["batches"].replace("random.shuffle(starts)\n", "")},
        "overlapping": {"batches": "\ndef batches():\n    for n in range(0, len(data) - T - B, B):\n        yield torch.stack([data[i : i + T + 1] for i in range(n, n + B)])\n"},
    },
    "batches_repeated": {
        "drawn once": {"batches": "\ndef batches():\n    starts = torch.randint(len(data) - T - 1, (B,))\n    batch = torch.stack([data[i : i + T + 1] for i in starts])\n    while True:\n        yield batch\n"},
        "reseeded": {"batches": "\ndef batches():\n    while True:\n        torch.manual_seed(0)\n        starts = torch.randint(len(data) - T - 1, (B,))\n        yield torch.stack([data[i : i + T + 1] for i in starts])\n"},
        "each twice": {"batches": "\ndef batches():\n    while True:\n        starts = torch.randint(len(data) - T - 1, (B,))\n        batch = torch.stack([data[i : i + T + 1] for i in starts])\n        yield batch\n        yield batch\n"},
        "first kept": swap("step", ("def step(batch):", "kept = []\ndef step(batch):\n    kept.append(batch)\n    batch = kept[0]")),
        "one row": {"batches": "\ndef batches():\n    while True:\n        i = int(torch.randint(len(data) - T - 1, (1,)))\n        yield torch.stack([data[i : i + T + 1] for _ in range(B)])\n"},
    },
    "accumulation_misreduced": {
        "not divided": {"step": STEPS["parts of a batch"]["step"].replace(" / 4", "")},
        "over calls": {"step": STEPS["parts over calls"]["step"].replace("(value / accumulate)", "value")},
        "unequal": UNEQUAL_PARTS,
        "divided twice": {"step": STEPS["parts of a batch"]["step"].replace("/ 4", "/ 16")},
    },
    "loss_not_averaged": {
        "sum": swap("loss", ("batch[:, 1:].reshape(-1))", 'batch[:, 1:].reshape(-1), reduction="sum")')),
        "over time": swap("loss", ("batch[:, 1:].reshape(-1))", 'batch[:, 1:].reshape(-1), reduction="sum") / len(batch)')),
        "in step": {"loss": "", "step": """
def step(batch):
    model.train()
    optimizer.zero_grad()
    logits = model(batch[:, :-1])
    value = F.cross_entropy(logits.reshape(-1, V), batch[:, 1:].reshape(-1), reduction="sum")
    value.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return value.item()
"""},
    },
    "softmax_before_cross_entropy": {
        "in the network": swap("model", ("return self.head(self.norm(x))", "return self.head(self.norm(x)).softmax(-1)")),
        "in the loss": swap("loss", ("logits = model(batch[:, :-1])", "logits = F.softmax(model(batch[:, :-1]), dim=-1)")),
        "in step": {"loss": "", "step": """
def step(batch):
    model.train()
    optimizer.zero_grad()
    probabilities = torch.softmax(model(batch[:, :-1]), -1)
    value = F.cross_entropy(probabilities.reshape(-1, V), batch[:, 1:].reshape(-1))
    value.backward()
    optimizer.step()
    return value.item()
"""},
    },
    "targets_broadcast": {
        "second loss": swap("loss", ("batch[:, 1:].reshape(-1))", "batch[:, 1:].reshape(-1)) + 0.01 * F.mse_loss(logits.mean((1, 2)).unsqueeze(-1), batch.float().mean(1) / V)")),
    },
    "decay_on_norms": {
        "everything": {"optimizer": "\noptimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)\n"},
        "wrong group": {"optimizer": "\nfree = [p for n, p in model.named_parameters() if n.endswith('bias')]\nrest = [p for n, p in model.named_parameters() if not n.endswith('bias')]\noptimizer = torch.optim.AdamW([{'params': rest, 'weight_decay': 0.01}, {'params': free, 'weight_decay': 0.0}], lr=1e-3)\n"},
    },
    "float16_unscaled": {
        "autocast": {"step": STEPS["bfloat16"]["step"].replace("bfloat16", "float16")},
        "for a gpu": {"step": STEPS["bfloat16"]["step"].replace("bfloat16", "float16").replace('"cpu"', '"cuda"')},
        "clipped first": {"step": STEPS["float16 and scaler"]["step"].replace("    scaler.unscale_(optimizer)\n", "")},
    },
    "attention_scale_missing": {
        "left out": swap("attention", NO_SCALE),
        "fused": {"attention": NETWORKS["fused attention"]["attention"].replace("is_causal=True, ", "is_causal=True, scale=1.0, ")},
        "einsum": {"attention": NETWORKS["einsum"]["attention"].replace(" * (C // H) ** -0.5", "")},
        "times": swap("attention", ("/ math.sqrt(C // H)", "* math.sqrt(C // H)")),
    },
    "positions_missing": {"left out": NETWORKS["no positions"]},
    "initialization_symmetric": {
        "constant": {"make": "\nmodel = Model()\nfor p in model.parameters():\n    if p.ndim > 1:\n        nn.init.constant_(p, 0.02)\n"},
        "ones in the blocks": {"make": "\nmodel = Model()\nfor m in model.blocks.modules():\n    if isinstance(m, nn.Linear):\n        nn.init.ones_(m.weight)\n"},
        "zeros": {"make": "\nmodel = Model()\nfor m in model.modules():\n    if isinstance(m, nn.Linear):\n        nn.init.zeros_(m.weight)\n        nn.init.zeros_(m.bias)\n"},
    },
    "initialization_exploding": {
        "deviation 1": {"make": "\nmodel = Model()\nfor p in model.parameters():\n    if p.ndim > 1:\n        nn.init.normal_(p, std=1.0)\n"},
        "head of 2": {"make": "\nmodel = Model()\nnn.init.normal_(model.head.weight, std=2.0)\n"},
        "ten times": {"make": "\nmodel = Model()\nwith torch.no_grad():\n    for p in model.parameters():\n        p.mul_(10)\n"},
    },
    "optimizer_state_not_resumed": {
        "read at the start": {"schedule": "\nimport io\nfile = io.BytesIO()\nfor p in model.parameters():\n    p.grad = torch.randn_like(p)\noptimizer.step()\noptimizer.zero_grad()\ntorch.save({'model': model.state_dict(), 'optimizer': optimizer.state_dict()}, file)\nfile.seek(0)\nmodel = Model()\noptimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)\ncheckpoint = torch.load(file)\nmodel.load_state_dict(checkpoint['model'])\n"},
        "functions": {"more": "\ndef save(path):\n    torch.save({'model': model.state_dict(), 'optimizer': optimizer.state_dict()}, path)\n\ndef resume(path):\n    state = torch.load(path)\n    model.load_state_dict(state['model'])\n"},
        "schedule": {"schedule": WARMUP} | STEP_WITH_SCHEDULE | {"more": "\ndef save(path):\n    torch.save([model.state_dict(), optimizer.state_dict()], path)\n\ndef resume(path):\n    a, b = torch.load(path)\n    model.load_state_dict(a)\n    optimizer.load_state_dict(b)\n"},
    },
    "labels_all_masked": {
        "dictionary": SUPPLIES["prompt masked"] | {"batches": SUPPLIES["prompt masked"]["batches"].replace("labels[:, : T // 2]", "labels[:, :]")},
        "mask upside down": SUPPLIES["padded"] | {"loss": SUPPLIES["padded"]["loss"].replace("batch[:, 1:].reshape(-1)", "batch[:, 1:].masked_fill(batch[:, 1:] != pad_id, pad_id).reshape(-1)")},
        "weights of zero": {"loss": "\ndef loss(model, batch):\n    logits = model(batch[:, :-1])\n    each = F.cross_entropy(logits.reshape(-1, V), batch[:, 1:].reshape(-1), reduction='none')\n    mask = torch.zeros_like(each)\n    return (each * mask).sum() / mask.sum().clamp_min(1)\n"},
    },
    "checkpoint_not_loaded": {
        "prefix": {"make": "\nmodel = Model()\nweights = {'module.' + k: v.clone() for k, v in Model().state_dict().items()}\nmodel.load_state_dict(weights, strict=False)\n"},
        "drawn anew": {"make": "\nmodel = Model()\nmodel.load_state_dict(Model().state_dict())\nfor m in model.modules():\n    if hasattr(m, 'reset_parameters'):\n        m.reset_parameters()\n"},
        "another copy": {"make": "\nimport io\nfile = io.BytesIO()\ntorch.save({'model': Model().state_dict()}, file)\nfile.seek(0)\ndef restored():\n    net = Model()\n    net.load_state_dict(torch.load(file)['model'])\n    return net\nrestored()\nmodel = Model()\n"},
        "functions": {"more": "\ndef save(path):\n    torch.save(model.state_dict(), path)\n\ndef load(path):\n    model.load_state_dict({'_orig_mod.' + k: v for k, v in torch.load(path).items()}, strict=False)\n"},
    },
}  # fmt: skip
