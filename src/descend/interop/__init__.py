"""descend in other people's training programs: a watch on a loop, and callbacks for trainers."""
