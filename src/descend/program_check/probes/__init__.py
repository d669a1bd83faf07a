"""Trying out somebody's training program: what it is made of, what it does, what is wrong."""
