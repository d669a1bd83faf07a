# mixture of experts LM with a load-balancing loss
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import IterableDataset, DataLoader


class Stream(IterableDataset):
    def __init__(self, vocab, length, n):
        self.vocab, self.length, self.n = vocab, length, n

    def __iter__(self):
        for _ in range(self.n):
            a = torch.randint(self.vocab, (1,)).item()
            b = torch.randint(1, 6, (1,)).item()
            noise = (torch.rand(self.length + 1) < 0.1).long()
            yield (a + b * torch.arange(self.length + 1) + noise) % self.vocab


class MoE(nn.Module):
    def __init__(self, d, n_exp=4):
        super().__init__()
        self.router = nn.Linear(d, n_exp, bias=False)
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(d, 2 * d), nn.GELU(), nn.Linear(2 * d, d)) for _ in range(n_exp))

    def forward(self, x):
        probs = self.router(x).softmax(-1)
        top, idx = probs.topk(2, dim=-1)
        gate = torch.zeros_like(probs).scatter(-1, idx, top / top.sum(-1, keepdim=True))
        y = sum(gate[..., i : i + 1] * e(x) for i, e in enumerate(self.experts))
        aux = probs.mean((0, 1)).square().sum() * len(self.experts)
        return y, aux


class Layer(nn.Module):
    def __init__(self, d, h):
        super().__init__()
        self.h, self.qkv, self.o, self.moe = h, nn.Linear(d, 3 * d), nn.Linear(d, d), MoE(d)
        self.a, self.b = nn.LayerNorm(d), nn.LayerNorm(d)

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = self.qkv(self.a(x)).view(B, T, 3, self.h, C // self.h).permute(2, 0, 3, 1, 4)
        x = x + self.o(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(B, T, C))
        y, aux = self.moe(self.b(x))
        return x + y, aux


class MoELM(nn.Module):
    def __init__(self, vocab, d=32, layers=2, context=20):
        super().__init__()
        self.emb, self.pos = nn.Embedding(vocab, d), nn.Embedding(context, d)
        self.layers = nn.ModuleList(Layer(d, 4) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, vocab)

    def forward(self, ids, labels=None):
        x = self.emb(ids) + self.pos(torch.arange(ids.shape[1]))
        auxes = []
        for layer in self.layers:
            x, aux = layer(x)
            auxes.append(aux)
        logits = self.head(self.norm(x))
        out = {"logits": logits}
        if labels is not None:
            out["loss"] = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1)) + 0.01 * sum(auxes)
        return out


def main():
    torch.manual_seed(1)
    net = MoELM(37)
    optimizer = torch.optim.AdamW([{"params": [p for p in net.parameters() if p.ndim > 1]}, {"params": [p for p in net.parameters() if p.ndim == 1], "weight_decay": 0.0}], lr=2e-3)
    for step, seq in enumerate(DataLoader(Stream(37, 20, 400), batch_size=8)):
        result = net(seq[:, :-1], labels=seq[:, 1:])
        optimizer.zero_grad()
        result["loss"].backward()
        optimizer.step()
        if step % 10 == 0:
            print(step, round(result["loss"].item(), 3))


main()
