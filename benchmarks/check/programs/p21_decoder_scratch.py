"""Decoder-only transformer from scratch, label smoothing, Noam schedule (per step)."""
import math
import torch
import torch.nn as nn
import torch.nn.functional as F


class ScaledDotProductAttention(nn.Module):
    def __init__(self, temperature, attn_dropout=0.1):
        super().__init__()
        self.temperature = temperature
        self.dropout = nn.Dropout(attn_dropout)

    def forward(self, q, k, v, mask=None):
        attn = torch.matmul(q / self.temperature, k.transpose(2, 3))
        if mask is not None:
            attn = attn.masked_fill(mask == 0, -1e9)
        attn = self.dropout(F.softmax(attn, dim=-1))
        return torch.matmul(attn, v)


class MultiHeadAttention(nn.Module):
    def __init__(self, n_head, d_model, d_k, dropout=0.1):
        super().__init__()
        self.n_head, self.d_k = n_head, d_k
        self.w_qs = nn.Linear(d_model, n_head * d_k, bias=False)
        self.w_ks = nn.Linear(d_model, n_head * d_k, bias=False)
        self.w_vs = nn.Linear(d_model, n_head * d_k, bias=False)
        self.fc = nn.Linear(n_head * d_k, d_model, bias=False)
        self.attention = ScaledDotProductAttention(temperature=d_k ** 0.5)
        self.dropout = nn.Dropout(dropout)
        self.layer_norm = nn.LayerNorm(d_model, eps=1e-6)

    def forward(self, x, mask):
        sz_b, length = x.size(0), x.size(1)
        residual = x
        q = self.w_qs(x).view(sz_b, length, self.n_head, self.d_k).transpose(1, 2)
        k = self.w_ks(x).view(sz_b, length, self.n_head, self.d_k).transpose(1, 2)
        v = self.w_vs(x).view(sz_b, length, self.n_head, self.d_k).transpose(1, 2)
        out = self.attention(q, k, v, mask=mask)
        out = self.dropout(self.fc(out.transpose(1, 2).contiguous().view(sz_b, length, -1)))
        return self.layer_norm(out + residual)


class FeedForward(nn.Module):
    def __init__(self, d_in, d_hid, dropout=0.1):
        super().__init__()
        self.w_1, self.w_2 = nn.Linear(d_in, d_hid), nn.Linear(d_hid, d_in)
        self.layer_norm = nn.LayerNorm(d_in, eps=1e-6)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        return self.layer_norm(x + self.dropout(self.w_2(F.relu(self.w_1(x)))))


class Decoder(nn.Module):
    def __init__(self, n_vocab, d_model=32, n_layers=2, n_head=4, n_position=40, pad_idx=0):
        super().__init__()
        self.pad_idx = pad_idx
        self.word_emb = nn.Embedding(n_vocab, d_model, padding_idx=pad_idx)
        self.register_buffer("pos_table", self._table(n_position, d_model))
        self.stack = nn.ModuleList([nn.ModuleList([MultiHeadAttention(n_head, d_model, d_model // n_head), FeedForward(d_model, 4 * d_model)]) for _ in range(n_layers)])
        self.prj = nn.Linear(d_model, n_vocab, bias=False)
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.xavier_uniform_(p)

    @staticmethod
    def _table(n, d):
        angle = torch.arange(n).float()[:, None] / torch.pow(10000, 2 * (torch.arange(d) // 2) / d)
        angle[:, 0::2] = torch.sin(angle[:, 0::2])
        angle[:, 1::2] = torch.cos(angle[:, 1::2])
        return angle.unsqueeze(0)

    def forward(self, seq):
        length = seq.size(1)
        pad_mask = (seq != self.pad_idx).unsqueeze(-2).unsqueeze(1)
        sub_mask = (1 - torch.triu(torch.ones((1, 1, length, length), device=seq.device), diagonal=1)).bool()
        x = self.word_emb(seq) + self.pos_table[:, :length]
        for attn, ffn in self.stack:
            x = ffn(attn(x, pad_mask & sub_mask))
        return self.prj(x)


class ScheduledOptim:
    """wraps an optimizer and sets its rate before each step"""

    def __init__(self, optimizer, lr_mul, d_model, n_warmup_steps):
        self._optimizer = optimizer
        self.lr_mul, self.d_model, self.n_warmup_steps, self.n_steps = lr_mul, d_model, n_warmup_steps, 0

    def step_and_update_lr(self):
        self._update_learning_rate()
        self._optimizer.step()

    def zero_grad(self):
        self._optimizer.zero_grad()

    def _update_learning_rate(self):
        self.n_steps += 1
        scale = (self.d_model ** -0.5) * min(self.n_steps ** -0.5, self.n_steps * self.n_warmup_steps ** -1.5)
        for g in self._optimizer.param_groups:
            g["lr"] = self.lr_mul * scale


def cal_loss(pred, gold, pad_idx, smoothing=True):
    gold = gold.contiguous().view(-1)
    if smoothing:
        eps, n_class = 0.1, pred.size(1)
        one_hot = torch.zeros_like(pred).scatter(1, gold.view(-1, 1), 1)
        one_hot = one_hot * (1 - eps) + (1 - one_hot) * eps / (n_class - 1)
        log_prb = F.log_softmax(pred, dim=1)
        non_pad_mask = gold.ne(pad_idx)
        loss = -(one_hot * log_prb).sum(dim=1)
        return loss.masked_select(non_pad_mask).sum() / non_pad_mask.sum()
    return F.cross_entropy(pred, gold, ignore_index=pad_idx)


def train_epoch(model, training_data, optimizer, pad_idx):
    model.train()
    total = 0
    for batch in training_data:
        optimizer.zero_grad()
        inp, gold = batch[:, :-1], batch[:, 1:]
        pred = model(inp)
        loss = cal_loss(pred.reshape(-1, pred.size(-1)), gold, pad_idx)
        loss.backward()
        optimizer.step_and_update_lr()
        total += loss.item()
    return total / len(training_data)


def build_batches(n=24, bs=12, vocab=36):
    g = torch.Generator().manual_seed(9)
    batches = []
    for _ in range(n):
        rows = []
        for _ in range(bs):
            size = int(torch.randint(8, 20, (1,), generator=g))
            start = int(torch.randint(2, vocab, (1,), generator=g))
            rows.append(torch.tensor([2 + (start + k * (k % 3 + 1)) % (vocab - 2) for k in range(size)] + [0] * (20 - size)))
        batches.append(torch.stack(rows))
    return batches


if __name__ == "__main__":
    torch.manual_seed(0)
    model = Decoder(36)
    optimizer = ScheduledOptim(torch.optim.Adam(model.parameters(), betas=(0.9, 0.98), eps=1e-09), 1.0, 32, 20)
    data = build_batches()
    for epoch in range(2):
        print("epoch", epoch, "loss", train_epoch(model, data, optimizer, 0))
