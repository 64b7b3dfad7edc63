"""Published index of the recommender: candidates by customer, and tables of products."""
