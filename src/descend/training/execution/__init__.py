"""How a run computes: device, precision, attention, compilation."""
