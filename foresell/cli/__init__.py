"""The command line: one function per command, each of which calls one function of one package.

Results go to standard output, progress and errors to standard error. Exit code 0 means that the
command is done; 2 a user's mistake, explained in one sentence; 3 that some of several models failed
and the command is done for the others; 1 that all failed, or a check. Importing a module of a group
of commands adds them to `app`.
"""

from foresell.cli import audience, data, models, score, operations, storage, keys  # noqa: I001, in order of help
from foresell.cli.edge import app

__all__ = ["app", "audience", "data", "keys", "models", "operations", "score", "storage"]
