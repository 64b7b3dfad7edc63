"""Features: a retailer's records in, tables of point-in-time features out.

`ingest` reads sources into canonical tables, `storage` keeps them as snapshots, `dataset` opens
them. `demand`, `customers` and `interactions` compute features of what was known at an instant.
No module knows of models.
"""
