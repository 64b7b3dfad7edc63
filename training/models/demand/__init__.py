"""Demand: units by series and period, as a mean and quantiles."""
