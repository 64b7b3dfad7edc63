"""Monitoring of published models: drift of what goes in and comes out, and realised quality."""
