"""Next category: the distribution of the days until a customer buys from a category again."""
