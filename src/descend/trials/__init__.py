"""Paired runs: trials, how they are run and cached, and what their differences are worth."""
