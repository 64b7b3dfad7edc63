"""Features of candidates and the learned ranker."""
