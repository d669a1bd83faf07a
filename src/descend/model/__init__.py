"""The network, what it costs, and how it writes."""
