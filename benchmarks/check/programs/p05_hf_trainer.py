import random

import torch
from torch.utils.data import Dataset
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments, set_seed

set_seed(42)
VOCAB = 48
BLOCK = 24


def corpus(n):
    rnd = random.Random(0)
    state, out = 5, []
    for _ in range(n):
        state = (state * 3 + rnd.choice([1, 2, 2, 7])) % VOCAB
        out.append(state)
    return out


class BlockDataset(Dataset):
    def __init__(self, ids, block):
        self.examples = [ids[i : i + block] for i in range(0, len(ids) - block, block)]

    def __len__(self):
        return len(self.examples)

    def __getitem__(self, i):
        ids = torch.tensor(self.examples[i], dtype=torch.long)
        return {"input_ids": ids, "labels": ids.clone()}


ids = corpus(6000)
train_dataset, eval_dataset = BlockDataset(ids[:5000], BLOCK), BlockDataset(ids[5000:], BLOCK)

config = GPT2Config(vocab_size=VOCAB, n_positions=BLOCK, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0)
model = GPT2LMHeadModel(config)

args = TrainingArguments(
    output_dir="out",
    per_device_train_batch_size=8,
    num_train_epochs=1,
    max_steps=20,
    learning_rate=1e-3,
    weight_decay=0.01,
    warmup_steps=5,
    logging_steps=10,
    report_to=[],
    save_strategy="no",
    use_cpu=True,
)
trainer = Trainer(model=model, args=args, train_dataset=train_dataset, eval_dataset=eval_dataset)
trainer.train()
print(trainer.evaluate())
