"""The network, its cost, and text generation."""
