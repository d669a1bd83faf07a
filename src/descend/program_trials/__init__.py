"""Counterfactual trials of any training program, through its own flags."""
