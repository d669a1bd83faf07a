from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer

words = "add sub the numbers one two three four five six seven answer is question what and please".split()
vocab = {w: i for i, w in enumerate(["<pad>", "<eos>", "<unk>"] + words)}
raw = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
raw.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")

texts = []
for i in range(160):
    a, b = words[4 + i % 7], words[4 + (i * 3) % 7]
    texts.append({"text": f"question what is {a} and {b} answer is the numbers {b} {a} " + ("please " * (i % 4))})
dataset = Dataset.from_list(texts)

model = GPT2LMHeadModel(GPT2Config(vocab_size=len(vocab), n_positions=32, n_embd=32, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=1, pad_token_id=0))
config = SFTConfig(output_dir="sft", max_length=24, per_device_train_batch_size=8, max_steps=10, learning_rate=1e-3, logging_steps=5, report_to="none", save_strategy="no", use_cpu=True, bf16=False)
trainer = SFTTrainer(model=model, args=config, train_dataset=dataset, processing_class=tokenizer)
trainer.train()
