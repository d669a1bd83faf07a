"""What of the validation text training contains."""
