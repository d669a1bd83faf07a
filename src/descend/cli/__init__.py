"""The command line: a file a verb; parse, call the library, hand the result to words."""
