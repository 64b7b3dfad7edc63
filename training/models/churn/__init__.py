"""Churn: the probability that a customer buys nothing within a horizon."""
