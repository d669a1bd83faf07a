"""One Markdown page a hyperparameter and idea, and what each says of a run."""
