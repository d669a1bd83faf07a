"""The problems of fine-tuning data: functions from examples to `DataProblem`."""
