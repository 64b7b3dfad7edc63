"""Commands on what is stored: the interface of runs."""

import os
from typing import Annotated

import typer

from foresell.cli.edge import app, exit_codes, settings
from foresell.progress import console


@app.command()
@exit_codes
def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="port to listen on")] = 5000,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
) -> None:
    """Open MLflow's interface of runs and models until interrupted. Example: `foresell ui`."""
    from foresell.ui import command

    arguments, environment = command(settings(), host, port)
    console.print(f"MLflow on http://{host}:{port}; Ctrl-C ends it")
    os.execve(arguments[0], arguments, environment)  # noqa: S606
