"""Events of customers and sessions: what a shop posts in, a durable ordered log out."""
