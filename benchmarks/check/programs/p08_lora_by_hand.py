import math
import os
import tempfile
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(11)
vocab_size, dim, heads, seq = 50, 32, 4, 20


class LoRALinear(nn.Module):
    def __init__(self, linear: nn.Linear, r=4, alpha=8):
        super().__init__()
        self.linear = linear
        self.linear.weight.requires_grad = False
        if self.linear.bias is not None:
            self.linear.bias.requires_grad = False
        self.lora_A = nn.Parameter(torch.empty(r, linear.in_features))
        self.lora_B = nn.Parameter(torch.zeros(linear.out_features, r))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))
        self.scaling = alpha / r

    def forward(self, x):
        return self.linear(x) + (x @ self.lora_A.T @ self.lora_B.T) * self.scaling


class Attn(nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, x):
        b, t, _ = x.shape
        split = lambda y: y.view(b, t, heads, dim // heads).transpose(1, 2)
        q, k, v = split(self.q_proj(x)), split(self.k_proj(x)), split(self.v_proj(x))
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(out.transpose(1, 2).reshape(b, t, dim))


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn, self.ln1, self.ln2 = Attn(), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.up, self.down = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x):
        x = x + self.attn(self.ln1(x))
        return x + self.down(F.gelu(self.up(self.ln2(x))))


class BaseLM(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok, self.pos = nn.Embedding(vocab_size, dim), nn.Embedding(seq, dim)
        self.layers = nn.ModuleList(Layer() for _ in range(2))
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, vocab_size)

    def forward(self, ids):
        x = self.tok(ids) + self.pos(torch.arange(ids.size(1)))
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))


data = (torch.randint(0, 7, (8000,)).cumsum(0) * 3) % vocab_size


def sample(bs=8):
    i = torch.randint(0, len(data) - seq - 1, (bs, 1)) + torch.arange(seq + 1)
    chunk = data[i]
    return chunk[:, :-1], chunk[:, 1:]


def lm_loss(net, x, y):
    return F.cross_entropy(net(x).reshape(-1, vocab_size), y.reshape(-1))


# a "pretrained" checkpoint: in real life this comes from disk
pretrained = BaseLM()
folder = tempfile.mkdtemp()
torch.save(pretrained.state_dict(), os.path.join(folder, "base.pt"))

model = BaseLM()
model.load_state_dict(torch.load(os.path.join(folder, "base.pt")))
for p in model.parameters():
    p.requires_grad = False
for layer in model.layers:
    layer.attn.q_proj = LoRALinear(layer.attn.q_proj)
    layer.attn.v_proj = LoRALinear(layer.attn.v_proj)

trainable = [p for p in model.parameters() if p.requires_grad]
print("trainable:", sum(p.numel() for p in trainable), "of", sum(p.numel() for p in model.parameters()))
opt = torch.optim.AdamW(trainable, lr=2e-3, weight_decay=0.0)
sched = torch.optim.lr_scheduler.LinearLR(opt, 0.1, 1.0, total_iters=10)

model.train()
for step in range(50):
    x, y = sample()
    loss = lm_loss(model, x, y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    sched.step()
    if step % 10 == 0:
        print(step, round(loss.item(), 4))
