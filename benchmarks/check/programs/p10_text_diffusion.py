# denoise embedded characters: a small diffusion-like language model
import math
import torch
from torch import nn
import torch.nn.functional as F

torch.manual_seed(5)
text = ("the quick brown fox jumps over the lazy dog while seven wizards quietly examine a jar of liquid amber. " * 40)
vocab = sorted(set(text))
V, D, L, STEPS = len(vocab), 32, 24, 50
ids = torch.tensor([vocab.index(c) for c in text])
betas = torch.linspace(1e-3, 0.1, STEPS)
alpha_bar = torch.cumprod(1 - betas, 0)


class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(V, D)
        self.time = nn.Sequential(nn.Linear(1, D), nn.SiLU(), nn.Linear(D, D))
        self.pos = nn.Parameter(torch.randn(L, D) * 0.02)
        enc = nn.TransformerEncoderLayer(D, 4, 64, dropout=0.0, batch_first=True)
        self.net = nn.TransformerEncoder(enc, 2, enable_nested_tensor=False)
        self.out = nn.Linear(D, V)

    def forward(self, tokens, t):
        x0 = F.normalize(self.emb(tokens), dim=-1) * math.sqrt(D)
        ab = alpha_bar[t][:, None, None]
        noisy = ab.sqrt() * x0 + (1 - ab).sqrt() * torch.randn_like(x0)
        h = noisy + self.pos + self.time(t[:, None].float() / STEPS)[:, None]
        return self.out(self.net(h))


model = Denoiser()
opt = torch.optim.Adam(model.parameters(), lr=1e-3)
ema = {k: v.clone() for k, v in model.state_dict().items()}

for it in range(60):
    start = torch.randint(len(ids) - L, (16,))
    batch = ids[start[:, None] + torch.arange(L)]
    t = torch.randint(STEPS, (16,))
    logits = model(batch, t)
    loss = F.cross_entropy(logits.reshape(-1, V), batch.reshape(-1))
    opt.zero_grad()
    loss.backward()
    opt.step()
    with torch.no_grad():
        for k, v in model.state_dict().items():
            ema[k].mul_(0.99).add_(v, alpha=0.01)
    if it % 20 == 0:
        print(f"{it:4d} {loss.item():.3f}")
