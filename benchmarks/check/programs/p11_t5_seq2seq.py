import torch
from torch.optim import AdamW
from torch.utils.data import DataLoader
from transformers import T5Config, T5ForConditionalGeneration, get_linear_schedule_with_warmup

torch.manual_seed(0)
PAD, EOS = 0, 1


def make_examples(n):
    out = []
    for i in range(n):
        length = 4 + (i * 7) % 9
        src = [2 + (i * 13 + j * j) % 38 for j in range(length)]
        out.append((src + [EOS], sorted(src) + [EOS]))
    return out


def collate(examples):
    s, t = max(len(a) for a, _ in examples), max(len(b) for _, b in examples)
    return {
        "input_ids": torch.tensor([a + [PAD] * (s - len(a)) for a, _ in examples]),
        "attention_mask": torch.tensor([[1] * len(a) + [0] * (s - len(a)) for a, _ in examples]),
        "labels": torch.tensor([b + [-100] * (t - len(b)) for _, b in examples]),
    }


def train():
    examples = make_examples(240)
    train_dataloader = DataLoader(examples[:200], batch_size=8, shuffle=True, collate_fn=collate)
    val_dataloader = DataLoader(examples[200:], batch_size=8, collate_fn=collate)
    model = T5ForConditionalGeneration(T5Config(vocab_size=40, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, decoder_start_token_id=PAD, pad_token_id=PAD, eos_token_id=EOS))
    optimizer = AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    epochs = 2
    scheduler = get_linear_schedule_with_warmup(optimizer, num_warmup_steps=5, num_training_steps=epochs * len(train_dataloader))
    for epoch in range(epochs):
        model.train()
        for batch in train_dataloader:
            optimizer.zero_grad()
            loss = model(**batch).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
        model.eval()
        val = 0.0
        with torch.no_grad():
            for batch in val_dataloader:
                val += model(**batch).loss.item()
        print(f"epoch {epoch} train {loss.item():.3f} val {val / len(val_dataloader):.3f}")


if __name__ == "__main__":
    train()
