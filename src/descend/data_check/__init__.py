"""Finds what is wrong with data for fine-tuning, before anything is trained on it.

`examples` reads the file, `chat_tokenizer` the tokenizer with its template, `problems/` has a file
for each group of problems, `check_data` puts them together.
"""
