"""Recommendations over HTTP and in batch, from a published index."""
