"""Reads and judges the loss logs of other programs."""
