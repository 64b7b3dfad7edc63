"""Records in, point-in-time features out. This package knows nothing of models."""
