"""The simple and the classic methods that each model must beat, on the same folds."""
