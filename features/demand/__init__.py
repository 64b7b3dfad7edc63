"""Demand features: a dataset, a grain and an instant in, one row per series and period out.

`builder` is the entry point. `scenario` gives a dataset another plan, `extract` and `cold_start`
write the part of it that published forecasts need.
"""
