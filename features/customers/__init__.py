"""Features of customers at an instant: how often, how recently, what, where and how they buy.

In: the tables `orders`, `products`, `customers` and `touchpoints` of a dataset. Out: lazy frames,
one row per customer (`builder`) or per customer and category (`by_category`).
"""
