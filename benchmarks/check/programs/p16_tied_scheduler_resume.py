"""GPT with tied weights, LambdaLR warmup, save and resume."""
import math
import os
import sys
import tempfile

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, Dataset


class CharDataset(Dataset):
    def __init__(self, text, block_size):
        chars = sorted(set(text))
        self.stoi = {c: i for i, c in enumerate(chars)}
        self.vocab_size = len(chars)
        self.block_size = block_size
        self.data = [self.stoi[c] for c in text]

    def __len__(self):
        return len(self.data) - self.block_size

    def __getitem__(self, idx):
        chunk = torch.tensor(self.data[idx : idx + self.block_size + 1])
        return chunk[:-1], chunk[1:]


class Block(nn.Module):
    def __init__(self, d, h, p):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.mha = nn.MultiheadAttention(d, h, dropout=p, batch_first=True)
        self.ff = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d), nn.Dropout(p))

    def forward(self, x, mask):
        h = self.ln1(x)
        a, _ = self.mha(h, h, h, attn_mask=mask, need_weights=False)
        x = x + a
        return x + self.ff(self.ln2(x))


class TiedGPT(nn.Module):
    def __init__(self, vocab, d=32, h=4, layers=2, block=24, p=0.1):
        super().__init__()
        self.tok = nn.Embedding(vocab, d)
        self.pos = nn.Embedding(block, d)
        self.drop = nn.Dropout(p)
        self.blocks = nn.ModuleList([Block(d, h, p) for _ in range(layers)])
        self.ln = nn.LayerNorm(d)
        self.head = nn.Linear(d, vocab, bias=False)
        self.head.weight = self.tok.weight
        for p_ in self.parameters():
            if p_.dim() > 1:
                nn.init.normal_(p_, 0, 0.02)

    def forward(self, x):
        T = x.shape[1]
        mask = torch.triu(torch.full((T, T), float("-inf")), diagonal=1)
        h = self.drop(self.tok(x) + self.pos(torch.arange(T)))
        for b in self.blocks:
            h = b(h, mask)
        return self.head(self.ln(h))


def save_checkpoint(path, model, optimizer, scheduler, step):
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict(), "step": step}, path)


def load_checkpoint(path, model, optimizer, scheduler):
    ckpt = torch.load(path)
    model.load_state_dict(ckpt["model"])
    optimizer.load_state_dict(ckpt["optimizer"])
    scheduler.load_state_dict(ckpt["scheduler"])
    return ckpt["step"]


def validate(model, loader):
    model.eval()
    total, n = 0.0, 0
    with torch.no_grad():
        for i, (x, y) in enumerate(loader):
            if i == 3:
                break
            logits = model(x)
            total += F.cross_entropy(logits.reshape(-1, logits.size(-1)), y.reshape(-1)).item()
            n += 1
    return total / n


def main():
    torch.manual_seed(42)
    text = open(__file__).read()
    ds = CharDataset(text, 24)
    split = int(0.9 * len(ds))
    train_set = torch.utils.data.Subset(ds, range(split))
    val_set = torch.utils.data.Subset(ds, range(split, len(ds)))
    train_loader = DataLoader(train_set, batch_size=16, shuffle=True, drop_last=True)
    val_loader = DataLoader(val_set, batch_size=16)
    model = TiedGPT(ds.vocab_size)
    no_decay = [p for n, p in model.named_parameters() if "ln" in n or n.endswith("bias")]
    decay = [p for n, p in model.named_parameters() if not ("ln" in n or n.endswith("bias"))]
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.1}, {"params": no_decay, "weight_decay": 0.0}], lr=6e-4)
    warmup, total = 10, 60
    scheduler = LambdaLR(optimizer, lambda s: min((s + 1) / warmup, 0.5 * (1 + math.cos(math.pi * min(s, total) / total))))
    path = os.path.join(tempfile.gettempdir(), "tied_gpt_ckpt.pt")
    step = 0
    for epoch in range(1):
        for x, y in train_loader:
            model.train()
            logits = model(x)
            loss = F.cross_entropy(logits.reshape(-1, logits.size(-1)), y.reshape(-1))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            step += 1
            if step % 20 == 0:
                print(step, f"train {loss.item():.3f} val {validate(model, val_loader):.3f} lr {scheduler.get_last_lr()[0]:.2e}")
                save_checkpoint(path, model, optimizer, scheduler, step)
            if step >= total:
                break
    resumed = load_checkpoint(path, model, optimizer, scheduler)
    print("resumed at", resumed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
