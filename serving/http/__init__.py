"""Responses, errors, rounding and middleware shared by all routes."""
