"""Serving: published models in, answers over HTTP out."""
