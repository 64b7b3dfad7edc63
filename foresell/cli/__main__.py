"""`python -m foresell.cli`."""

from foresell.cli import app

app()
