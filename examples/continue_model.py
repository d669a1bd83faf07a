"""Train a GPT-2, Llama, Mistral, or Qwen model of another program further on your text.

    python examples/continue_model.py FOLDER TEXT [STEPS]

FOLDER is what `save_pretrained` of transformers wrote, with its tokenizer. The result loads in
transformers again.
"""

import sys

import descend

folder, text, *steps = sys.argv[1:]
before = descend.load(folder).evaluate(text)
model = descend.run_on_model(folder, corpus_dir=text, max_steps=int(steps[0]) if steps else 200)
after = model.evaluate(text)
print(f"loss {before.loss:.3f} before, {after.loss:.3f} after: {model.folder}")
