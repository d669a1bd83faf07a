"""Pure numbers about a model, without judgement."""
