"""Healthy pieces in many styles: networks, batches, losses, optimizers, steps."""

from __future__ import annotations

from pieces import swap

Piece = dict[str, str]

NETWORKS: dict[str, Piece] = {
    "pre-norm": {},
    "post-norm": swap("block", ("x = x + self.attention(self.n1(x))", "x = self.n1(x + self.attention(x))"),
                      ("return x + self.ff(self.n2(x))", "return self.n2(x + self.ff(x))")),
    "fused attention": swap("attention",
        ("        scores = q @ k.transpose(-2, -1) / math.sqrt(C // H)\n", ""),
        ("        mask = torch.triu(torch.ones(T, T, dtype=torch.bool), diagonal=1)\n", ""),
        ('        scores = scores.masked_fill(mask, float("-inf"))\n', ""),
        ("        weights = self.dropout(scores.softmax(-1))\n",
         "        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, "
         "dropout_p=dropout if self.training else 0.0)\n"),
        ("(weights @ v)", "y")),
    "scaled queries": swap("attention", ("q @ k.transpose(-2, -1) / math.sqrt(C // H)",
                                         "(q * (C // H) ** -0.5) @ k.transpose(-2, -1)")),
    "einsum": swap("attention", ("q @ k.transpose(-2, -1) / math.sqrt(C // H)",
                                 'torch.einsum("bhtk,bhsk->bhts", q, k) * (C // H) ** -0.5')),
    "mask of -1e9": swap("attention", ('float("-inf")', "-1e9")),
    "query-key norm": swap("attention", ("scores = q @ k.transpose(-2, -1) / math.sqrt(C // H)",
        "q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)\n        scores = self.temperature * (q @ k.transpose(-2, -1))"),
        ("self.dropout = nn.Dropout(dropout)", "self.dropout = nn.Dropout(dropout)\n        self.temperature = nn.Parameter(torch.full((H, 1, 1), 8.0))")),
    "scale in the weights": swap("attention", (" / math.sqrt(C // H)", ""),
        ("self.dropout = nn.Dropout(dropout)", "self.dropout = nn.Dropout(dropout)\n        nn.init.normal_(self.q.weight, std=(D * D // H) ** -0.5)\n        nn.init.normal_(self.k.weight, std=D ** -0.5)")),
    "one key head": swap("attention", ("nn.Linear(D, D) for _ in range(4)", "nn.Linear(D, n) for n in (D, D // H, D // H, D)"),
        ("q, k, v = (f(x).view(B, T, H, C // H).transpose(1, 2) for f in (self.q, self.k, self.v))",
         "q = self.q(x).view(B, T, H, C // H).transpose(1, 2)\n        k, v = (f(x).view(B, T, 1, C // H).transpose(1, 2).expand(-1, H, -1, -1) for f in (self.k, self.v))")),
    "rotary": swap("attention", ("scores = q @", "q, k = rotate(q), rotate(k)\n        scores = q @"),
        ("class Attention", "def rotate(x):\n    half = x.shape[-1] // 2\n    angle = torch.arange(x.shape[-2])[:, None] * 100.0 ** (-torch.arange(half) / half)\n    a, b = x.chunk(2, -1)\n    return torch.cat((a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()), -1)\n\nclass Attention"))
        | swap("model", (" + self.positions(torch.arange(ids.shape[1]))", ""), (", self.positions = nn.Embedding(V, D), nn.Embedding(T, D)", " = nn.Embedding(V, D)")),
    "bias by distance": swap("attention", ("        mask =", "        slope = 2.0 ** -torch.arange(1, H + 1)\n        scores = scores - slope[:, None, None] * (torch.arange(T)[:, None] - torch.arange(T)).abs()\n        mask ="))
        | swap("model", (" + self.positions(torch.arange(ids.shape[1]))", ""), (", self.positions = nn.Embedding(V, D), nn.Embedding(T, D)", " = nn.Embedding(V, D)")),
    "no positions": swap("model", (" + self.positions(torch.arange(ids.shape[1]))", ""), (", self.positions = nn.Embedding(V, D), nn.Embedding(T, D)", " = nn.Embedding(V, D)")),
    "sinusoids": swap("model", ("self.tokens, self.positions = nn.Embedding(V, D), nn.Embedding(T, D)",
        "self.tokens = nn.Embedding(V, D)\n        angle = torch.arange(T)[:, None] * 1e4 ** (-torch.arange(0, D, 2) / D)\n        self.table = nn.Parameter(torch.cat((angle.sin(), angle.cos()), -1), requires_grad=False)"),
        ("self.positions(torch.arange(ids.shape[1]))", "self.table[: ids.shape[1]]")),
    "tied": swap("model", ("nn.Linear(D, V)", "nn.Linear(D, V, bias=False)\n        self.apply(self.draw)\n        self.head.weight = self.tokens.weight"),
        ("    def forward", "    def draw(self, module):\n        if isinstance(module, (nn.Linear, nn.Embedding)):\n            nn.init.normal_(module.weight, std=0.02)\n\n    def forward")),
    "tied, as torch draws": swap("model", ("nn.Linear(D, V)", "nn.Linear(D, V, bias=False)\n        self.head.weight = self.tokens.weight")),
    "zero head and gates": swap("model", ("nn.Linear(D, V)", "nn.Linear(D, V)\n        nn.init.zeros_(self.head.weight)\n        for block in self.blocks:\n            nn.init.zeros_(block.attention.o.weight)\n            nn.init.zeros_(block.ff[2].weight)")),
    "capped logits": swap("model", ("return self.head(self.norm(x))", "return 15 * torch.tanh(self.head(self.norm(x)) / 15)")),
    "rms norm": swap("block", ("nn.LayerNorm(D), nn.LayerNorm(D)", "nn.RMSNorm(D), nn.RMSNorm(D)")),
    "no dropout": swap("sizes", ("dropout = 0.1", "dropout = 0.0")),
    "wide drop": swap("sizes", ("dropout = 0.1", "dropout = 0.4")),
    "unused layer": swap("model", ("self.norm, self.head", "self.spare = nn.Linear(D, D)\n        self.norm, self.head")),
    "one layer": swap("sizes", ("32, 4, 2, 24, 8", "32, 2, 1, 16, 4")),
    "wider": swap("sizes", ("32, 4, 2, 24, 8", "96, 6, 3, 48, 16")),
    "torch encoder": {"attention": "", "block": "", "model": """
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(V, D), nn.Embedding(T, D)
        layer = nn.TransformerEncoderLayer(D, H, 4 * D, dropout, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, L, enable_nested_tensor=False)
        self.head = nn.Linear(D, V)

    def forward(self, ids):
        n = ids.shape[1]
        x = self.tokens(ids) * math.sqrt(D) * 0.1 + self.positions(torch.arange(n))
        return self.head(self.encoder(x, mask=nn.Transformer.generate_square_subsequent_mask(n), is_causal=True))
"""},
    "torch attention": {"attention": """
class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.MultiheadAttention(D, H, dropout=dropout, batch_first=True)

    def forward(self, x):
        mask = torch.triu(torch.ones(x.shape[1], x.shape[1], dtype=torch.bool), diagonal=1)
        return self.inner(x, x, x, attn_mask=mask, need_weights=False)[0]
"""},
    "lstm": {"attention": "", "block": "", "model": """
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(V, D)
        self.rnn = nn.LSTM(D, 2 * D, 2, batch_first=True, dropout=dropout)
        self.head = nn.Linear(2 * D, V)

    def forward(self, ids, state=None):
        x, state = self.rnn(self.tokens(ids), state)
        return self.head(x)
"""},
    "gru and its state": {"attention": "", "block": "", "model": """
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.rnn, self.head = nn.Embedding(V, D), nn.GRU(D, D, batch_first=True), nn.Linear(D, V)

    def forward(self, ids, state=None):
        x, state = self.rnn(self.tokens(ids), state)
        return self.head(x), state
""", "loss": """
def loss(model, batch):
    logits, _ = model(batch[:, :-1])
    return F.cross_entropy(logits.transpose(1, 2), batch[:, 1:])
"""},
    "time first": {"attention": "", "block": "", "model": """
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.rnn, self.head = nn.Embedding(V, D), nn.LSTM(D, D), nn.Linear(D, V)

    def forward(self, ids):
        return self.head(self.rnn(self.tokens(ids))[0])
""", "loss": """
def loss(model, batch):
    ids = batch.t()
    logits = model(ids[:-1])
    return F.cross_entropy(logits.reshape(-1, V), ids[1:].reshape(-1))
"""},
    "convolution": {"attention": "", "block": """
class Block(nn.Module):
    def __init__(self, reach):
        super().__init__()
        self.reach, self.norm, self.conv = 2 * reach, nn.LayerNorm(D), nn.Conv1d(D, D, 3, dilation=reach)

    def forward(self, x):
        y = F.pad(self.norm(x).transpose(1, 2), (self.reach, 0))
        return x + F.gelu(self.conv(y)).transpose(1, 2)
""", "model": """
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.head = nn.Embedding(V, D), nn.Linear(D, V)
        self.blocks = nn.Sequential(*(Block(2**n) for n in range(3)))

    def forward(self, ids):
        return self.head(self.blocks(self.tokens(ids)))
"""},
    "bigram": {"attention": "", "block": "", "model": """
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(V, V)

    def forward(self, ids):
        return self.table(ids)
"""},
    "nanoGPT": swap("model", ("def forward(self, ids):", "def forward(self, idx, targets=None):\n        ids = idx"),
        ("        return self.head(self.norm(x))", """        x = self.norm(x)
        if targets is None:
            return self.head(x[:, [-1], :]), None
        logits = self.head(x)
        return logits, F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)"""))
        | {"batches": """
def get_batch(split="train"):
    ix = torch.randint(len(data) - T, (B,))
    x = torch.stack([data[i : i + T] for i in ix if i + T < len(data)])
    y = torch.stack([data[i + 1 : i + 1 + T] for i in ix if i + T < len(data)])
    return x, y

batches = get_batch
""", "loss": """
def loss(model, batch):
    x, y = batch
    _, value = model(x, y)
    return value
"""},
    "transformers GPT-2": {"attention": "", "block": "", "model": "", "make": """
from transformers import GPT2Config, GPT2LMHeadModel
model = GPT2LMHeadModel(GPT2Config(vocab_size=V, n_positions=T + 1, n_embd=D, n_layer=L, n_head=H))
""", "batches": """
def batches():
    while True:
        starts = torch.randint(len(data) - T - 1, (B,))
        ids = torch.stack([data[i : i + T] for i in starts])
        yield {"input_ids": ids, "labels": ids.clone(), "attention_mask": torch.ones_like(ids)}
""", "loss": """
def loss(model, batch):
    return model(**batch).loss
"""},
    "transformers Llama": {"attention": "", "block": "", "model": "", "make": """
from transformers import LlamaConfig, LlamaForCausalLM
model = LlamaForCausalLM(LlamaConfig(vocab_size=V, hidden_size=D, intermediate_size=2 * D, num_hidden_layers=L,
    num_attention_heads=H, num_key_value_heads=2, max_position_embeddings=T + 1))
""", "loss": """
def loss(model, batch):
    return model(input_ids=batch, labels=batch).loss
"""},
}  # fmt: skip

SUPPLIES: dict[str, Piece] = {
    "tensors": {},
    "pairs": {"batches": """
def batches():
    while True:
        starts = torch.randint(len(data) - T - 1, (B,)).tolist()
        x = torch.stack([data[i : i + T] for i in starts])
        y = torch.stack([data[i + 1 : i + T + 1] for i in starts])
        yield x, y
""", "loss": """
def loss(model, batch):
    x, y = batch
    return F.cross_entropy(model(x).view(-1, V), y.view(-1))
"""},
    "shuffled loader": {"batches": """
from torch.utils.data import DataLoader, Dataset

class Windows(Dataset):
    def __len__(self):
        return (len(data) - 1) // T

    def __getitem__(self, n):
        return data[n * T : n * T + T], data[n * T + 1 : n * T + T + 1]

batches = DataLoader(Windows(), batch_size=B, shuffle=True, drop_last=True)
""", "loss": """
def loss(model, batch):
    x, y = batch
    logits = model(x)
    return F.cross_entropy(logits.permute(0, 2, 1), y)
"""},
    "shuffled list": {"batches": """
starts = list(range(0, len(data) - T - 1, T))
random.shuffle(starts)
batches = [torch.stack([data[i : i + T + 1] for i in starts[n : n + B]]) for n in range(0, len(starts) - B, B)]
"""},
    "epochs": {"batches": """
def batches(seed=0):
    order = torch.randperm((len(data) - 1) // T, generator=torch.Generator().manual_seed(seed)) * T
    for part in order.split(B):
        yield torch.stack([data[i : i + T + 1] for i in part])
"""},
    "a function a draw": {"batches": """
def batches():
    starts = torch.randint(len(data) - T - 1, (B,))
    return torch.stack([data[i : i + T + 1] for i in starts])
"""},
    "padded": {"batches": """
pad_id = V - 1
sentences = [tokenizer.encode(s)[:T] for s in text.split(".") if s.strip()]

def batches():
    while True:
        picked = random.sample(sentences, B)
        longest = max(map(len, picked))
        yield torch.tensor([s + [pad_id] * (longest - len(s)) for s in picked])
""", "sizes": """
V, D, H, L, T, B = tokenizer.vocab_size + 1, 32, 4, 2, 64, 8
dropout = 0.1
""", "loss": """
def loss(model, batch):
    logits = model(batch[:, :-1])
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), batch[:, 1:].reshape(-1), ignore_index=pad_id)
"""},
    "padded dictionaries": {"sizes": """
V, D, H, L, T, B = tokenizer.vocab_size, 32, 4, 2, 64, 8
dropout = 0.1
""", "batches": """
sentences = [tokenizer.encode(s.strip())[:T] for s in text.split(".") if s.strip()]

def collate(picked):
    longest = max(map(len, picked))
    ids = torch.tensor([s + [0] * (longest - len(s)) for s in picked])
    mask = torch.tensor([[1] * len(s) + [0] * (longest - len(s)) for s in picked])
    return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, -100)}

batches = torch.utils.data.DataLoader(sentences, batch_size=B, shuffle=True, collate_fn=collate)
""", "loss": """
def loss(model, batch):
    logits = model(batch["input_ids"])[:, :-1]
    return F.cross_entropy(logits.flatten(0, 1), batch["labels"][:, 1:].flatten(), ignore_index=-100)
"""},
    "prompt masked": {"batches": """
def batches():
    while True:
        starts = torch.randint(len(data) - T - 1, (B,))
        ids = torch.stack([data[i : i + T] for i in starts])
        labels = ids.clone()
        labels[:, : T // 2] = -100
        yield {"input_ids": ids, "labels": labels}
""", "loss": """
def loss(model, batch):
    logits = model(batch["input_ids"])
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten())
"""},
}  # fmt: skip

MASKED: Piece = {
    **NETWORKS["torch encoder"],
    **SUPPLIES["padded"],
    "model": NETWORKS["torch encoder"]["model"].replace(
        "generate_square_subsequent_mask(n), is_causal=True",
        "generate_square_subsequent_mask(n), src_key_padding_mask=ids == pad_id",
    ),
}
"""An encoder that is given where its texts are filled up."""

LOSSES: dict[str, Piece] = {
    "smoothed": swap("loss", ("batch[:, 1:].reshape(-1))", "batch[:, 1:].reshape(-1), label_smoothing=0.1)")),
    "log-softmax": swap("loss", ("F.cross_entropy(logits.reshape(-1, logits.shape[-1])", "F.nll_loss(logits.log_softmax(-1).reshape(-1, V)")),
    "sum over count": swap("loss", ("batch[:, 1:].reshape(-1))", 'batch[:, 1:].reshape(-1), reduction="sum") / batch[:, 1:].numel()')),
    "z-loss": swap("loss", ("batch[:, 1:].reshape(-1))", "batch[:, 1:].reshape(-1)) + 1e-4 * logits.logsumexp(-1).square().mean()")),
    "loss by hand": {"loss": """
def loss(model, batch):
    x, y = batch[:, :-1], batch[:, 1:]
    logp = torch.log_softmax(model(x).float(), dim=-1)
    return -logp.gather(-1, y.unsqueeze(-1)).mean()
"""},
    "network returns log-probabilities": swap("model", ("return self.head(self.norm(x))", "return self.head(self.norm(x)).log_softmax(-1)"))
        | swap("loss", ("F.cross_entropy", "F.nll_loss")),
    "network returns probabilities": swap("model", ("return self.head(self.norm(x))", "return self.head(self.norm(x)).softmax(-1)"))
        | swap("loss", ("F.cross_entropy(logits.reshape(-1, logits.shape[-1])", "F.nll_loss(logits.clamp_min(1e-9).log().reshape(-1, V)")),
}  # fmt: skip

WARMUP = """
scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: min(1.0, (n + 1) / 20))
"""
STEP_WITH_SCHEDULE = swap(
    "step", ("    optimizer.step()\n", "    optimizer.step()\n    scheduler.step()\n")
)

STEPS: dict[str, Piece] = {
    "zero after": swap("step", ("    optimizer.zero_grad()\n", ""), ("    optimizer.step()\n", "    optimizer.step()\n    optimizer.zero_grad(set_to_none=False)\n")),
    "no clip": swap("step", ("    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n", "")),
    "warmup": {"schedule": WARMUP} | STEP_WITH_SCHEDULE,
    "warmup and cosine": {"schedule": """
scheduler = torch.optim.lr_scheduler.SequentialLR(optimizer, [
    torch.optim.lr_scheduler.LinearLR(optimizer, 0.01, total_iters=10),
    torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=190)], milestones=[10])
total_steps = 200
"""} | STEP_WITH_SCHEDULE,
    "schedule by epochs": {"schedule": "\nscheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)\n",
        "more": "\nif __name__ == '__main__':\n    for epoch in range(6):\n        for n, batch in zip(range(50), batches()):\n            step(batch)\n        scheduler.step()\n"},
    "rate by hand": {"step": """
done = 0
def step(batch):
    global done
    for group in optimizer.param_groups:
        group["lr"] = 1e-3 * min(1.0, done / 10)
    model.train()
    value = loss(model, batch)
    optimizer.zero_grad(set_to_none=True)
    value.backward()
    optimizer.step()
    done += 1
    return value
"""},
    "parts of a batch": {"step": """
def step(batch):
    model.train()
    optimizer.zero_grad()
    total = 0.0
    for part in batch.chunk(4):
        value = loss(model, part) / 4
        value.backward()
        total += value.item()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return total
"""},
    "parts over calls": {"step": """
accumulate, calls = 4, 0
def step(batch):
    global calls
    model.train()
    value = loss(model, batch)
    (value / accumulate).backward()
    calls += 1
    if calls % accumulate == 0:
        optimizer.step()
        optimizer.zero_grad()
    return value.item()
"""},
    "divided afterwards": {"loss": """
def loss(model, batch):
    logits = model(batch[:, :-1])
    return F.cross_entropy(logits.reshape(-1, V), batch[:, 1:].reshape(-1), reduction="sum")
""", "step": """
def step(batch):
    model.train()
    optimizer.zero_grad()
    for part in batch.chunk(2):
        loss(model, part).backward()
    for p in model.parameters():
        if p.grad is not None:
            p.grad /= batch[:, 1:].numel()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
"""},
    "bfloat16": swap("step", ("    value = loss(model, batch)\n", '    with torch.autocast("cpu", dtype=torch.bfloat16):\n        value = loss(model, batch)\n')),
    "float16 and scaler": {"step": """
scaler = torch.amp.GradScaler("cpu")
def step(batch):
    model.train()
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cpu", dtype=torch.float16):
        value = loss(model, batch)
    scaler.scale(value).backward()
    scaler.unscale_(optimizer)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
    return value.item()
"""},
    "evaluates and goes back": {"more": """
@torch.no_grad()
def evaluate():
    model.eval()
    total = sum(loss(model, batch).item() for _, batch in zip(range(2), batches()))
    model.train()
    return total / 2
"""},
    "two optimizers": {"optimizer": """
matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "blocks" in n]
rest = [p for n, p in model.named_parameters() if not (p.ndim == 2 and "blocks" in n)]
optimizers = [torch.optim.SGD(matrices, lr=0.02, momentum=0.9), torch.optim.Adam(rest, lr=1e-3)]
""", "step": """
def step(batch):
    model.train()
    value = loss(model, batch)
    value.backward()
    for o in optimizers:
        o.step()
        o.zero_grad()
    return float(value)
"""},
    "a trainer": {"step": """
class Trainer:
    def __init__(self, model, optimizer):
        self.model, self.optimizer, self.steps = model, optimizer, 0

    def step(self, batch):
        self.model.train()
        self.optimizer.zero_grad()
        value = loss(self.model, batch)
        value.backward()
        self.optimizer.step()
        self.steps += 1
        return {"loss": value.item()}

trainer = Trainer(model, optimizer)
step = trainer.step
"""},
    "model and batch": swap("step", ("def step(batch):", "def step(model, batch):")),
    "average kept": {"step": """
average = {n: p.detach().clone() for n, p in model.named_parameters()}
def step(batch):
    model.train()
    optimizer.zero_grad()
    value = loss(model, batch)
    value.backward()
    optimizer.step()
    with torch.no_grad():
        for n, p in model.named_parameters():
            average[n].lerp_(p, 0.1)
"""},
    "by hand": {"optimizer": "", "step": """
def step(batch):
    model.train()
    value = loss(model, batch)
    model.zero_grad()
    value.backward()
    with torch.no_grad():
        for p in model.parameters():
            if p.grad is not None:
                p -= 0.1 * p.grad
    return value.item()
"""},
    "no step": {"step": "", "more": ""},
    "only a model": {"optimizer": "", "batches": "", "loss": "", "step": "", "more": ""},
    "plain adam": {"optimizer": "\noptimizer = torch.optim.Adam(model.parameters(), lr=3e-4)\n"},
    "adamw's defaults": {"optimizer": "\noptimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)\n"},
}  # fmt: skip
