"""Published models in, answers over HTTP."""
