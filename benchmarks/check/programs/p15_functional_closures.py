# make_* functions that return closures; einsum attention; rotary; muP-free
import functools
import torch
import torch.nn.functional as F
from torch import nn


def make_data(n=6000, vocab=32, seed=0):
    g = torch.Generator().manual_seed(seed)
    table = torch.rand(vocab, vocab, generator=g) ** 6
    seq = [0]
    for _ in range(n):
        seq.append(int(torch.multinomial(table[seq[-1]], 1, generator=g)))
    return torch.tensor(seq)


class Mixer(nn.Module):
    def __init__(self, d, h):
        super().__init__()
        self.h = h
        self.norm = nn.RMSNorm(d)
        self.to_qkv = nn.Linear(d, d * 3, bias=False)
        self.to_out = nn.Linear(d, d, bias=False)
        self.scale = (d // h) ** -0.5

    def forward(self, x, freqs):
        x = self.norm(x)
        q, k, v = [t.unflatten(-1, (self.h, -1)).transpose(1, 2) for t in self.to_qkv(x).chunk(3, -1)]
        q, k = apply_rotary(q, freqs), apply_rotary(k, freqs)
        sim = torch.einsum("b h i d, b h j d -> b h i j", q * self.scale, k)
        i, j = sim.shape[-2:]
        causal_mask = torch.ones((i, j), dtype=torch.bool, device=x.device).triu(j - i + 1)
        sim = sim.masked_fill(causal_mask, -torch.finfo(sim.dtype).max)
        attn = sim.softmax(dim=-1)
        out = torch.einsum("b h i j, b h j d -> b h i d", attn, v)
        return self.to_out(out.transpose(1, 2).flatten(2))


def apply_rotary(t, freqs):
    t1, t2 = t.chunk(2, dim=-1)
    rotated = torch.cat((-t2, t1), dim=-1)
    return t * freqs.cos() + rotated * freqs.sin()


class LM(nn.Module):
    def __init__(self, vocab, d=32, h=4, depth=2):
        super().__init__()
        self.emb = nn.Embedding(vocab, d)
        inv = 1.0 / (500 ** (torch.arange(0, d // h, 2).float() / (d // h)))
        self.register_buffer("inv_freq", inv)
        self.layers = nn.ModuleList([nn.ModuleList([Mixer(d, h), nn.Sequential(nn.RMSNorm(d), nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))]) for _ in range(depth)])
        self.to_logits = nn.Sequential(nn.RMSNorm(d), nn.Linear(d, vocab, bias=False))

    def forward(self, ids):
        pos = torch.arange(ids.shape[1], device=ids.device).float()
        freqs = torch.outer(pos, self.inv_freq).repeat(1, 2)
        x = self.emb(ids)
        for attn, ff in self.layers:
            x = attn(x, freqs) + x
            x = ff(x) + x
        return self.to_logits(x)


def make_loader(data, seq_len, batch, seed):
    g = torch.Generator().manual_seed(seed)

    def cycle():
        while True:
            idx = torch.randint(0, len(data) - seq_len - 1, (batch,), generator=g)
            yield torch.stack([data[i : i + seq_len + 1] for i in idx])

    return cycle()


def make_train_step(model, optimizer, accum):
    def compute(batch):
        logits = model(batch[:, :-1])
        return F.cross_entropy(logits.transpose(1, 2), batch[:, 1:])

    def train_it(loader):
        model.train()
        total = 0.0
        for _ in range(accum):
            loss = compute(next(loader))
            (loss / accum).backward()
            total += loss.item() / accum
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        optimizer.zero_grad()
        return total

    return train_it


def run(steps=40, accum=2):
    torch.manual_seed(2)
    data = make_data()
    model = LM(32)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader = make_loader(data, 20, 8, 1)
    train_it = make_train_step(model, optimizer, accum)
    log = functools.partial(print, sep="\t")
    for i in range(steps):
        loss = train_it(loader)
        if i % 10 == 0:
            log(i, f"{loss:.4f}")


run()
