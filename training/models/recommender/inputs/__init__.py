"""Inputs of the recommender at an instant: interactions, locations, promotions, product groups."""
