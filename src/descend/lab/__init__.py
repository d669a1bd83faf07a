"""Experiments: one question, paired runs, an answer with its interval."""
