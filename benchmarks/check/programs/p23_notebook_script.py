# %% [markdown]
# exported from a notebook
# %%
import torch, torch.nn as nn, torch.nn.functional as F
torch.manual_seed(0)
lines = [f"{a} + {b} = {a + b}\n" for a in range(30) for b in range(30)]
text = "".join(lines)
vocab = sorted(set(text)); V = len(vocab)
enc = {c: i for i, c in enumerate(vocab)}
# %%
def encode(s): return [enc[c] for c in s]
def decode(l): return "".join(vocab[i] for i in l)
perm = torch.randperm(len(lines)).tolist()
data = torch.tensor(encode("".join(lines[i] for i in perm)))
T, B, D, H = 32, 8, 32, 2
# %%
class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.sa = nn.MultiheadAttention(D, H, batch_first=True, dropout=0.1)
        self.ff = nn.Sequential(nn.Linear(D, 4*D), nn.ReLU(), nn.Linear(4*D, D))
        self.l1 = nn.LayerNorm(D); self.l2 = nn.LayerNorm(D)
    def forward(self, x):
        n = x.size(1)
        m = torch.triu(torch.ones(n, n, dtype=torch.bool), diagonal=1)
        h = self.l1(x)
        x = x + self.sa(h, h, h, attn_mask=m)[0]
        return x + self.ff(self.l2(x))
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.e = nn.Embedding(V, D); self.p = nn.Embedding(T, D)
        self.b = nn.Sequential(Block(), Block()); self.o = nn.Linear(D, V)
    def forward(self, x): return self.o(self.b(self.e(x) + self.p(torch.arange(x.size(1)))))
m = M()
opt = torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9)
# %%
@torch.no_grad()
def val_loss():
    m.eval()
    i = torch.randint(len(data) - T - 1, (B,))
    x = torch.stack([data[k:k+T] for k in i]); y = torch.stack([data[k+1:k+T+1] for k in i])
    l = F.cross_entropy(m(x).transpose(1, 2), y).item()
    m.train()
    return l
# %%
hist = []
for step in range(60):
    i = torch.randint(len(data) - T - 1, (B,))
    x = torch.stack([data[k:k+T] for k in i]); y = torch.stack([data[k+1:k+T+1] for k in i])
    loss = F.cross_entropy(m(x).transpose(1, 2), y)
    opt.zero_grad(); loss.backward(); opt.step()
    hist.append(loss.item())
    if step % 20 == 0: print(step, hist[-1], val_loss())
# %%
print(sum(hist[-10:]) / 10)
