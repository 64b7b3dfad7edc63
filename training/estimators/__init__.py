"""Estimators that know nothing of retail: boosted trees, BG/NBD and Gamma-Gamma models.

In: arrays or frames of numbers. Out: fitted parameters, predictions and attributions.
"""
