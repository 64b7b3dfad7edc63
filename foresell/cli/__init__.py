"""The command line: one function a verb, each calling one function of one package.

Results go to standard output, progress and errors to standard error. Exit code 0 only when
what is said to be done is done; 2 for a user's mistake, in one sentence. A file a group of
verbs; importing it is what adds them.
"""

from foresell.cli import audience, data, models, operations
from foresell.cli.edge import app

__all__ = ["app", "audience", "data", "models", "operations"]
