"""The recommender: candidates, ranking, published index, task and baselines."""
