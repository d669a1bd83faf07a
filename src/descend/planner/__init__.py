"""What to train in a given time."""
