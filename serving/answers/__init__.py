"""Readers of what each model publishes: each loads one folder and answers plain questions."""
