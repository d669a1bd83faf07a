"""Compares configurations over several seeds."""
