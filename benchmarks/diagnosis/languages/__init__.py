"""Made-up languages whose entropy rate is known exactly: texts of the planted-fault benchmark."""
