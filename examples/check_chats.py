"""Check fine-tuning data before training on it, and list the lines to look at.

    python examples/check_chats.py DATA.jsonl [TOKENIZER]

TOKENIZER is the folder of the model that is to be fine-tuned. Without it, fewer problems show.
"""

import sys
from pathlib import Path

from descend.data_check.check_data import check_data

data, *tokenizer = map(Path, sys.argv[1:])
check = check_data(data, tokenizer[0] if tokenizer else None)
print(f"{check.num_examples} examples, {len(check.problems)} problems")
for problem in check.problems:
    print(f"{problem.problem} in lines {problem.lines[:5]}: {problem.evidence}. {problem.fix}.")
