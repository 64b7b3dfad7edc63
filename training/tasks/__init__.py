"""What each model is asked, whom it is judged on, and by which metrics."""
