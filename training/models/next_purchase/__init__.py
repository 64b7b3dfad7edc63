"""Next purchase: the distribution of the days until a customer buys again."""
