"""Finds bugs in a training program by running it."""
