"""Mechanical edits that plant a bug in a sound training program.

Each bug has rules: a pattern and what stands in its place. The first rule that changes the source
makes the buggy program. Every bug that `descend check` looks for has rules. `{model}` in a rule is
the name of the program's network.
"""

from __future__ import annotations

import re

MAKES_OPTIMIZER = (
    r"^([ \t]*)((?:self\.)?\w*(?:opt\w*|trainer|criterion)\s*=\s*"
    r"(?:[\w.]*(?:Adam|AdamW|SGD|NAdam|RMSprop|Trainer|ScheduledOptim|CrossEntropyLoss)\())"
)
"""The first line that makes an optimizer, a trainer or a loss: the network is complete there."""

LOSS_CALL = r"((?:F|functional)\.cross_entropy\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)"
STATEMENT, PASS = r"^([ \t]*)", "\\1pass\n"

Rule = tuple[str, str]
RULES: dict[str, list[Rule]] = {
    "causal_mask_missing": [
        (r"mask=mask, is_causal=True", "mask=None"),
        (r"is_causal=True", "is_causal=False"),
        (r"^([ \t]*)(att|wei|sim|scores) = \2\.masked_fill\(.*$", r"\1pass"),
        (r"pad_mask & sub_mask", "pad_mask"),
        (r"attn_mask=m(ask)?\b", "attn_mask=None"),
        (r"src_mask=self\.mask\[:n, :n\]", "src_mask=None"),
        (r"self\.encoder\(src, mask=mask\)", "self.encoder(src)"),
        (r'bias\.masked_fill\(dist < 0, float\("-inf"\)\)', "bias"),
        (r"torch\.triu\((torch\.ones\(\(sz, sz\), device=DEVICE\)), diagonal=1\)", r"(0 * \1)"),
        (r"\(\(self\.k - 1\) \* 2 \*\* i, 0\)",
         "((self.k - 1) * 2 ** i // 2, (self.k - 1) * 2 ** i // 2)"),
    ],
    "causal_mask_leaky": [
        (r"diagonal=1\b", "diagonal=2"),
        (r"dtype=torch\.bool\), 1\)", "dtype=torch.bool), 2)"),
        (r"triu\(j - i \+ 1\)", "triu(j - i + 2)"),
        (r"dist < 0", "dist < -1"),
        (r"torch\.tril\((torch\.ones\([^()]*\))\)", r"torch.tril(\1, diagonal=1)"),
    ],
    "examples_mixed": [
        (r"(nn\.(?:LSTM|GRU|RNN)\([^()\n]*)batch_first=True", r"\1batch_first=False"),
    ],
    "targets_unshifted": [
        (r"data\[i \+ 1 : i \+ 1 \+", "data[i : i +"),
        (r"(y = .*)data\[k\+1:k\+T\+1\]", r"\1data[k:k+T]"),
        (r"(batch|seq|chunk|windows)\[:, :-1\], (labels=)?\1\[:, 1:\]",
         r"\1[:, :-1], \2\1[:, :-1]"),
        (r"batch\[:, 1:\]", "batch[:, :-1]"),
        (r"chunk\[:-1\], chunk\[1:\]", "chunk[:-1], chunk[:-1]"),
        (r"source\[i \+ 1 : i \+ 1 \+ seq_len\]", "source[i : i + seq_len]"),
        (r"tgt\[1:, :\]", "tgt[:-1, :]"),
        (r"char_tensor\(chunk\[1:\]\)", "char_tensor(chunk[:-1])"),
        (r"w\[:, :-1\], w\[:, 1:\]", "w[:, :-1], w[:, :-1]"),
    ],
    "targets_shifted_twice": [
        (r'"labels": ids\.clone\(\)', '"labels": ids.roll(-1)'),
        (r'"labels": chunk\}', '"labels": chunk.roll(-1)}'),
        (r"labels=self\.rows\[i\]", "labels=self.rows[i].roll(-1)"),
        (r"labels = input_ids\.masked_fill\(attention_mask == 0, -100\)",
         "labels = input_ids.masked_fill(attention_mask == 0, -100).roll(-1, 1)"),
        (r"data\[i \+ 1 : i \+ 1 \+", "data[i + 2 : i + 2 +"),
    ],
    "dropout_in_evaluation": [
        (STATEMENT + r"(?:self\.bert|model|m)\.eval\(\)\n", PASS),
        (r"self\.attn_drop\(att\)", "F.dropout(att, 0.1)"),
        (r"self\.drop\(([^()]*\([^()]*\)[^()]*)\)", r"F.dropout(\1, 0.1)"),
    ],
    "left_in_evaluation_mode": [
        (STATEMENT + r"(?:self\.bert|model|m)\.train\(\)\n", PASS),
    ],
    "gradients_not_zeroed": [
        (STATEMENT + r"[\w.]+\.zero_grad\([^)]*\)\n", PASS),
        (r"opt\.zero_grad\(\); ", ""),
    ],
    "weights_frozen": [
        (MAKES_OPTIMIZER, r"\1for _p in [p for p in {model}.parameters() if p.ndim > 1][:-1]: "
                          r"_p.requires_grad_(False)" "\n" r"\1\2"),
    ],
    "weights_not_in_optimizer": [
        (r"((?:Adam|AdamW|SGD|RMSprop|NAdam)\()([\w.]+)\.parameters\(\)",
         r"\1list(\2.parameters())[3:]"),
        (r"(\[p for p in [\w.]+\.parameters\(\) if p\.(?:ndim|dim\(\)) (?:>= 2|> 1)\])", r"\1[3:]"),
        (r"(\[p for p in param_dict\.values\(\) if p\.dim\(\) >= 2\])", r"\1[3:]"),
    ],
    "step_never_called": [
        (STATEMENT + r"(?:self\.)?(?:\w*optim\w*|opt)\.step(?:_and_update_lr)?\(\)\n", PASS),
        (STATEMENT + r"scaler\.step\(optimizer\)\n", PASS),
        (r" opt\.step\(\)$", " pass"),
    ],
    "scheduler_step_misplaced": [
        (STATEMENT + r"(?:scheduler|sched|sch)\.step\(\)\n", PASS),
        (r'"interval": "step"', '"interval": "epoch"'),
    ],
    "tokenizer_mismatch": [
        (r"(Config\([^\n]*vocab_size=)(len\((?:vocab|tokenizer)\)|tokenizer\.vocab_size)",
         r"\1\2 - 3"),
    ],
    "padding_in_loss": [
        (r"non_pad_mask = gold\.ne\(pad_idx\)", "non_pad_mask = gold.ne(-5)"),
        (r'b\["labels"\] \+ \[IGNORE\] \* gap', 'b["labels"] + [PAD] * gap'),
        (r"labels = input_ids\.masked_fill\(attention_mask == 0, -100\)",
         "labels = input_ids.clone()"),
        (r"b \+ \[-100\] \* \(t - len\(b\)\)", "b + [PAD] * (t - len(b))"),
        (r"CrossEntropyLoss\(ignore_index=PAD_IDX\)", "CrossEntropyLoss()"),
        (r"y\[len\(ix\) \+ 1 :\] = -1", "pass"),
    ],
    "padding_mask_inverted": [
        (r"src_padding_mask = \(src == PAD_IDX\)", "src_padding_mask = (src != PAD_IDX)"),
        (r"src_key_padding_mask=x\.eq\(0\)", "src_key_padding_mask=x.ne(0)"),
        (r"src_key_padding_mask=mask\b", "src_key_padding_mask=~mask"),
    ],
    "not_shuffled": [
        (r"shuffle=True", "shuffle=False"),
        (r"torch\.randperm\((\(len\(self\.ids\)[^)]*\) // self\.length)\)", r"torch.arange(\1)"),
    ],
    "batches_repeated": [
        (r"^([ \t]*)((?:ix|i|start) = torch\.randint)", r"\1torch.manual_seed(0)" "\n" r"\1\2"),
        (r"^([ \t]*)(start_index = random\.randint)", r"\1random.seed(0)" "\n" r"\1\2"),
        (r"^([ \t]*)(idx = torch\.randint\(0, len\(data\))",
         r"\1g.manual_seed(0)" "\n" r"\1\2"),
    ],
    "accumulation_misreduced": [
        (r"^([ \t]*)loss = loss / gradient_accumulation_steps$", r"\1pass"),
        (r"\(loss / accum\)\.backward\(\)", "loss.backward()"),
    ],
    "loss_not_averaged": [
        (LOSS_CALL, r'\1, reduction="sum")'),
        (r"CrossEntropyLoss\(\)", 'CrossEntropyLoss(reduction="sum")'),
        (r"CrossEntropyLoss\((\w+=?[\w-]*)\)", r'CrossEntropyLoss(\1, reduction="sum")'),
        (r"masked_select\(non_pad_mask\)\.sum\(\) / non_pad_mask\.sum\(\)",
         "masked_select(non_pad_mask).sum()"),
        (r"nn\.NLLLoss\(\)", 'nn.NLLLoss(reduction="sum")'),
    ],
    "softmax_before_cross_entropy": [
        (r"cross_entropy\((logits|s)\b", r"cross_entropy(\1.softmax(-1)"),
        (r"cross_entropy\(m\(x\)", "cross_entropy(m(x).softmax(-1)"),
        (r"cross_entropy\(net\(x\)", "cross_entropy(net(x).softmax(-1)"),
        (r"(self\.criterion|criterion|loss_fn)\((output|outputs|logits|out)\b",
         r"\1(\2.softmax(-1)"),
    ],
    "targets_broadcast": [
        (r"^([ \t]*)loss\.backward\(\)", r"\1loss = loss + 0.01 * torch.nn.functional.mse_loss("
         "loss.expand(4, 1), torch.zeros(4))\n" r"\1loss.backward()"),
    ],
    "decay_on_norms": [
        (r'("weight_decay": )0\.0\b', r"\g<1>0.5"),
    ],
    "float16_unscaled": [
        (r"dtype=torch\.bfloat16", "dtype=torch.float16"),
    ],
    "attention_scale_missing": [
        (r" \* \(1\.0 / math\.sqrt\(k\.size\(-1\)\)\)", ""),
        (r"self\.scale = \(d // h\) \*\* -0\.5", "self.scale = 1.0"),
        (r" \* self\.hd \*\* -0\.5", ""),
        (r"temperature=d_k \*\* 0\.5", "temperature=1.0"),
        (r"is_causal=True\)", "is_causal=True, scale=1.0)"),
    ],
    "positions_missing": [
        (r" \+ self\.(wpe|pos|p|positions|pos_emb|position)\(torch\.arange\([^()]*(\([^()]*\))?"
         r"[^()]*\)\)", ""),
        (r" \+ self\.wpe\(pos\)", ""),
        (r" \+ self\.pos_emb\[:, : idx\.shape\[1\]\]", ""),
        (r" \+ self\.pos_table\[:, :length\]", ""),
        (r"self\.dropout\(x \+ self\.pe\[: x\.size\(0\), :\]\)", "self.dropout(x)"),
        (r"q, k = (?:apply_rotary\(q, freqs\), apply_rotary\(k, freqs\)|rot\(q\), rot\(k\))",
         "pass"),
    ],
    "initialization_symmetric": [
        (MAKES_OPTIMIZER, r"\1for _p in {model}.parameters(): "
                          r"_p.data.fill_(0.02) if _p.ndim > 1 else None" "\n" r"\1\2"),
    ],
    "initialization_exploding": [
        (MAKES_OPTIMIZER, r"\1for _p in {model}.parameters(): "
                          r"_p.data.mul_(60.0) if _p.ndim > 1 else None" "\n" r"\1\2"),
    ],
    "labels_all_masked": [
        (r"\[IGNORE\] \* len\(prompt\) \+ answer", "[IGNORE] * len(prompt + answer)"),
        (r"masked_fill\(attention_mask == 0, -100\)", "masked_fill(attention_mask >= 0, -100)"),
        (r'"labels": ids\.clone\(\)', '"labels": torch.full_like(ids, -100)'),
        (r"labels\.append\(token\)", "labels.append(-100)"),
    ],
    "optimizer_state_not_resumed": [
        (STATEMENT + r'optimizer\.load_state_dict\(ckpt\["optimizer"\]\)\n', PASS),
    ],
    "checkpoint_not_loaded": [
        (r'model\.load_state_dict\((torch\.load\(os\.path\.join\(folder, "base\.pt"\)\))\)',
         r'model.load_state_dict({"module." + k: v for k, v in \1.items()}, strict=False)'),
    ],
}  # fmt: skip

NETWORK = {
    "p02": "model", "p03": "transformer", "p14": "decoder", "p18": "student", "p23": "m",
    "p27": "net", "p09": "self.bert", "p06": "self", "p20": "self",
}  # fmt: skip
"""Name of the network, where it is not `model`."""

NO_BUG = {
    ("p03", "causal_mask_leaky"), ("p05", "not_shuffled"),
    # Nothing in these differs between training and evaluation, or no evaluation is made.
    ("p07", "dropout_in_evaluation"), ("p07", "left_in_evaluation_mode"),
    ("p08", "left_in_evaluation_mode"), ("p17", "left_in_evaluation_mode"),
    ("p22", "left_in_evaluation_mode"), ("p02", "left_in_evaluation_mode"),
    ("p15", "left_in_evaluation_mode"), ("p21", "left_in_evaluation_mode"),
    ("p25", "left_in_evaluation_mode"), ("p24", "left_in_evaluation_mode"),
    # The last batch of a schedule by epochs, stepped once an epoch: a choice.
    ("p25", "scheduler_step_misplaced"),
    # Rows drawn at random stay in random order, and there is no text to compare them with.
    ("p03", "not_shuffled"), ("p09", "not_shuffled"), ("p11", "not_shuffled"),
    ("p12", "not_shuffled"), ("p17", "not_shuffled"), ("p18", "not_shuffled"),
    ("p24", "not_shuffled"), ("p02", "not_shuffled"),
    # Networks that restore hidden tokens, or tell classes, have other targets.
    ("p09", "causal_mask_missing"), ("p10", "causal_mask_missing"),
    # Two optimizers' groups: the decay is of the matrices.
    ("p17", "decay_on_norms"),
}  # fmt: skip
"""Edits after which the program still is sound, or the bug cannot be said to be one."""


def plant(name: str, source: str, bug: str) -> str | None:
    """The program `source`, called `name`, with `bug`; None where no rule of the bug applies."""
    if (name[:3], bug) in NO_BUG:
        return None
    if bug == "left_in_evaluation_mode" and ".eval()" not in source:
        return None
    network = NETWORK.get(name[:3], "model")
    for pattern, instead in RULES.get(bug, []):
        count = 1 if pattern == MAKES_OPTIMIZER else 0
        edited = re.sub(pattern, instead.replace("{model}", network), source, count=count,
                        flags=re.MULTILINE)  # fmt: skip
        if edited != source:
            return edited
    return None
