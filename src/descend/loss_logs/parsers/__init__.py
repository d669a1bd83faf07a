"""Loss logs that other programs wrote, a file a format."""
