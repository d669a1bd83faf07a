"""The run folder: the only code that knows its file names, and that needs no torch."""
