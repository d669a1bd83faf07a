"""Which of several changes made a difference."""
