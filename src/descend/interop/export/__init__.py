"""A trained model as other programs read it: a file a format."""
