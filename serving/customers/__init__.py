"""Answers about customers: churn, next purchase, value and profiles, from published models."""
