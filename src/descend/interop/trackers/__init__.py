"""Sends the metrics of a run to experiment trackers: a file a tracker.

`track_run` follows events.jsonl in a thread a tracker, so training knows nothing of them.
"""
