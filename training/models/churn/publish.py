"""Published churn: every customer's features and answers, the model and the population.

`training.customers.published` owns the files.
"""

from training.customers.published import erase, publish

__all__ = ["erase", "publish"]
