import copy
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(4)


class TinyLM(nn.Module):
    def __init__(self, vocab, width, depth, context):
        super().__init__()
        self.wte = nn.Embedding(vocab, width)
        self.wpe = nn.Embedding(context, width)
        self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, batch_first=True, norm_first=True) for _ in range(depth))
        self.head = nn.Linear(width, vocab)
        mask = torch.triu(torch.ones(context, context, dtype=torch.bool), 1)
        self.register_buffer("mask", mask)

    def forward(self, idx):
        n = idx.shape[1]
        x = self.wte(idx) + self.wpe(torch.arange(n, device=idx.device))
        for block in self.blocks:
            x = block(x, src_mask=self.mask[:n, :n])
        return self.head(x)


vocab, context = 40, 20
seq = (torch.randint(0, 4, (300, context + 1)).cumsum(1) + torch.arange(300)[:, None]) % vocab
loader = DataLoader(TensorDataset(seq), batch_size=12, shuffle=True)
teacher = TinyLM(vocab, 48, 2, context).eval().requires_grad_(False)
student = TinyLM(vocab, 32, 1, context)
optim = torch.optim.RMSprop(student.parameters(), lr=1e-3)
T, alpha = 2.0, 0.3

for epoch in range(2):
    running = 0.0
    for (batch,) in loader:
        x, y = batch[:, :-1], batch[:, 1:]
        s = student(x)
        with torch.no_grad():
            t = teacher(x)
        hard = F.cross_entropy(s.reshape(-1, vocab), y.reshape(-1))
        soft = F.kl_div(F.log_softmax(s / T, -1), F.softmax(t / T, -1), reduction="none").sum(-1).mean() * T * T
        loss = alpha * soft + (1 - alpha) * hard
        optim.zero_grad()
        loss.backward()
        optim.step()
        running += loss.item()
    print(f"epoch {epoch}: {running / len(loader):.4f}")
