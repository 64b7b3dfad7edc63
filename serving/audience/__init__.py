"""Audiences: the customers that satisfy a condition on published predictions."""
