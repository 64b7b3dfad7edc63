"""Features of customer x product pairs, products and locations at an instant.

In: the tables `orders`, `products` and `promotions` of a dataset. Out: lazy frames, one row per
customer and product (`builder`), product, location or purchase.
"""
