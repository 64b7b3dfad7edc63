"""Mapping files: TOML that describes how a retailer's records become canonical tables.

`file.read_mapping` takes a path and gives a checked `schema.Mapping`; `stored` keeps a copy with
the dataset for repeated imports.
"""
