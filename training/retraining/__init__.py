"""The nightly job: its steps and what is kept of them, the promotion gate, and the report."""
