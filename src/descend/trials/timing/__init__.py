"""How long trials take to start and to run here."""
