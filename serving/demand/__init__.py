"""Demand over HTTP: forecasts, totals, scenarios and anomalies of a published folder."""
