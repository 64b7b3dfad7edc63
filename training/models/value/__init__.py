"""Value: expected orders and spend of customers over days ahead."""
