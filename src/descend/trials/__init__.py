"""Paired runs: arms, how they are carried out and cached, and what their differences are worth."""
