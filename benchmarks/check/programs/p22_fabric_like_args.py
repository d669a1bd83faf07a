import json
import logging
from dataclasses import asdict, dataclass, field

import torch
import torch.nn as nn
import torch.nn.functional as F

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
logger = logging.getLogger("train")


@dataclass
class OptimConfig:
    lr: float = 3e-3
    betas: tuple = (0.9, 0.99)
    weight_decay: float = 0.05
    grad_clip: float = 1.0


@dataclass
class Config:
    seed: int = 13
    vocab: int = 29
    dim: int = 40
    heads: int = 4
    layers: int = 2
    context: int = 28
    batch: int = 10
    steps: int = 50
    drop: float = 0.05
    optim: OptimConfig = field(default_factory=OptimConfig)


class SwiGLU(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.gate, self.up, self.down = nn.Linear(d, 2 * d, bias=False), nn.Linear(d, 2 * d, bias=False), nn.Linear(2 * d, d, bias=False)

    def forward(self, x):
        return self.down(F.silu(self.gate(x)) * self.up(x))


class GroupedAttention(nn.Module):
    def __init__(self, d, heads, kv_heads, context):
        super().__init__()
        self.heads, self.kv, self.hd = heads, kv_heads, d // heads
        self.q = nn.Linear(d, heads * self.hd, bias=False)
        self.kv_proj = nn.Linear(d, 2 * kv_heads * self.hd, bias=False)
        self.o = nn.Linear(heads * self.hd, d, bias=False)
        slopes = torch.tensor([2.0 ** (-(i + 1)) for i in range(heads)])
        dist = torch.arange(context)[:, None] - torch.arange(context)[None, :]
        bias = -slopes[:, None, None] * dist.clamp_min(0)
        bias = bias.masked_fill(dist < 0, float("-inf"))
        self.register_buffer("bias", bias)

    def forward(self, x):
        B, T, _ = x.shape
        q = self.q(x).view(B, T, self.heads, self.hd).transpose(1, 2)
        k, v = self.kv_proj(x).view(B, T, 2, self.kv, self.hd).unbind(2)
        k = k.transpose(1, 2).repeat_interleave(self.heads // self.kv, dim=1)
        v = v.transpose(1, 2).repeat_interleave(self.heads // self.kv, dim=1)
        scores = (q @ k.transpose(-1, -2)) * self.hd ** -0.5
        scores = scores + self.bias[:, :T, :T]
        return self.o((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))


class Model(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.embed = nn.Embedding(c.vocab, c.dim)
        self.drop = nn.Dropout(c.drop)
        self.attn = nn.ModuleList(GroupedAttention(c.dim, c.heads, 2, c.context) for _ in range(c.layers))
        self.mlp = nn.ModuleList(SwiGLU(c.dim) for _ in range(c.layers))
        self.n1 = nn.ModuleList(nn.RMSNorm(c.dim) for _ in range(c.layers))
        self.n2 = nn.ModuleList(nn.RMSNorm(c.dim) for _ in range(c.layers))
        self.nf = nn.RMSNorm(c.dim)
        self.unembed = nn.Linear(c.dim, c.vocab, bias=False)

    def forward(self, ids):
        x = self.drop(self.embed(ids))
        for a, m, n1, n2 in zip(self.attn, self.mlp, self.n1, self.n2):
            x = x + a(n1(x))
            x = x + m(n2(x))
        return self.unembed(self.nf(x))


def param_groups(model, wd):
    return [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": wd},
        {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]


class TokenStream:
    def __init__(self, c, seed):
        self.c, self.g = c, torch.Generator().manual_seed(seed)
        words = ["alpha", "beta", "gamma", "delta", "omega", "sigma"]
        idx = torch.randint(len(words), (900,), generator=self.g)
        self.text = " ".join(words[i] + ("." if i % 4 == 0 else "") for i in idx)
        self.ids = torch.tensor([ord(ch) - 97 if ch.isalpha() else (26 if ch == " " else 27) for ch in self.text])

    def __iter__(self):
        while True:
            s = torch.randint(len(self.ids) - self.c.context - 1, (self.c.batch,), generator=self.g)
            w = torch.stack([self.ids[i : i + self.c.context + 1] for i in s.tolist()])
            yield w[:, :-1], w[:, 1:]


def fit(cfg):
    torch.manual_seed(cfg.seed)
    model = Model(cfg)
    opt = torch.optim.AdamW(param_groups(model, cfg.optim.weight_decay), lr=cfg.optim.lr, betas=cfg.optim.betas)
    warm = torch.optim.lr_scheduler.LinearLR(opt, start_factor=0.05, total_iters=5)
    cool = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=cfg.steps - 5)
    sched = torch.optim.lr_scheduler.SequentialLR(opt, [warm, cool], milestones=[5])
    stream = TokenStream(cfg, cfg.seed)
    logger.info(json.dumps(asdict(cfg)))
    model.train()
    for step, (inputs, targets) in zip(range(cfg.steps), stream):
        logits = model(inputs)
        loss = F.cross_entropy(logits.flatten(0, -2), targets.flatten())
        opt.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), cfg.optim.grad_clip)
        opt.step()
        sched.step()
        if step % 10 == 0:
            logger.info("step %d loss %.4f lr %.2e", step, loss.item(), sched.get_last_lr()[0])
    return model


if __name__ == "__main__":
    fit(Config())
