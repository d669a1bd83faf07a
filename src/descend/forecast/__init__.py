"""Extrapolates a learning curve."""
