"""Hooks and patches that watch torch while somebody's program runs. They know no `Program`."""
