"""Experiments, forecasts and plans: a question each, an answer with its interval."""
