"""Names generator. A small Trainer class with callbacks, config as a dataclass."""
import random
from collections import defaultdict
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import Dataset, DataLoader

SYLLABLES = ["ka", "lo", "mi", "ren", "ta", "vo", "shi", "el", "or", "dan", "bra", "nu", "pe", "qui", "sa", "ther", "ul", "wyn", "xa", "yo", "zed"]


@dataclass
class ModelConfig:
    block_size: int = 16
    vocab_size: int = 28
    n_layer: int = 2
    n_embd: int = 32
    n_head: int = 4


class NamesDataset(Dataset):
    """each example is START + name, target is name + STOP, the rest is filled with -1"""

    def __init__(self, words, max_len):
        self.words = words
        self.max_len = max_len
        self.stoi = {chr(97 + i): i + 1 for i in range(26)}

    def __len__(self):
        return len(self.words)

    def __getitem__(self, idx):
        ix = torch.tensor([self.stoi[c] for c in self.words[idx]], dtype=torch.long)
        x = torch.zeros(self.max_len + 1, dtype=torch.long)
        y = torch.zeros(self.max_len + 1, dtype=torch.long)
        x[1 : 1 + len(ix)] = ix
        y[: len(ix)] = ix
        y[len(ix) + 1 :] = -1
        return x, y


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.h = c.n_head
        self.qkv = nn.Linear(c.n_embd, 3 * c.n_embd, bias=False)
        self.proj = nn.Linear(c.n_embd, c.n_embd, bias=False)

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = [t.reshape(B, T, self.h, C // self.h).transpose(1, 2) for t in self.qkv(x).chunk(3, dim=-1)]
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.proj(y.transpose(1, 2).reshape(B, T, C))


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.n1 = nn.LayerNorm(c.n_embd)
        self.attn = Attention(c)
        self.n2 = nn.LayerNorm(c.n_embd)
        self.mlp = nn.Sequential(nn.Linear(c.n_embd, 4 * c.n_embd), nn.SiLU(), nn.Linear(4 * c.n_embd, c.n_embd))

    def forward(self, x):
        x = x + self.attn(self.n1(x))
        return x + self.mlp(self.n2(x))


class NameModel(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.tok_emb = nn.Embedding(c.vocab_size, c.n_embd)
        self.pos_emb = nn.Parameter(torch.randn(1, c.block_size, c.n_embd) * 0.02)
        self.drop = nn.Dropout(0.1)
        self.layers = nn.Sequential(*[Layer(c) for _ in range(c.n_layer)])
        self.norm = nn.LayerNorm(c.n_embd)
        self.head = nn.Linear(c.n_embd, c.vocab_size)

    def forward(self, idx, targets=None):
        x = self.drop(self.tok_emb(idx) + self.pos_emb[:, : idx.shape[1]])
        logits = self.head(self.norm(self.layers(x)))
        loss = None
        if targets is not None:
            loss = F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)
        return logits, loss


class Trainer:
    def __init__(self, config, model, train_dataset):
        self.config = config
        self.model = model
        self.train_dataset = train_dataset
        self.optimizer = None
        self.callbacks = defaultdict(list)
        self.iter_num = 0

    def add_callback(self, event, fn):
        self.callbacks[event].append(fn)

    def run(self):
        model, config = self.model, self.config
        norms = [p for n, p in model.named_parameters() if p.ndim < 2]
        others = [p for n, p in model.named_parameters() if p.ndim >= 2]
        self.optimizer = torch.optim.AdamW(
            [{"params": others, "weight_decay": config["weight_decay"]}, {"params": norms, "weight_decay": 0.0}],
            lr=config["learning_rate"],
        )
        loader = DataLoader(self.train_dataset, shuffle=True, batch_size=config["batch_size"], drop_last=True)
        model.train()
        data_iter = iter(loader)
        while True:
            try:
                batch = next(data_iter)
            except StopIteration:
                data_iter = iter(loader)
                batch = next(data_iter)
            x, y = batch
            logits, self.loss = model(x, y)
            model.zero_grad(set_to_none=True)
            self.loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), config["grad_norm_clip"])
            self.optimizer.step()
            for fn in self.callbacks["on_batch_end"]:
                fn(self)
            self.iter_num += 1
            if self.iter_num >= config["max_iters"]:
                break


def make_words(n, rng):
    return sorted({"".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 4)))[:12] for _ in range(n)}, key=lambda w: rng.random())


if __name__ == "__main__":
    random.seed(3407)
    torch.manual_seed(3407)
    words = make_words(400, random.Random(7))
    ds = NamesDataset(words, 14)
    model = NameModel(ModelConfig())
    trainer = Trainer(dict(weight_decay=0.1, learning_rate=5e-4, batch_size=16, grad_norm_clip=1.0, max_iters=60), model, ds)

    def report(t):
        if t.iter_num % 20 == 0:
            print(f"iter {t.iter_num} loss {t.loss.item():.4f}")

    trainer.add_callback("on_batch_end", report)
    trainer.run()
