"""Shared parts of all commands: the application, options, and how errors and results are shown."""

import functools
import json
import os
import re
import sys
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from features.errors import ForesellError, InvalidInput
from foresell.progress import console

if TYPE_CHECKING:
    from rich.table import Table

    from foresell.settings import Settings

# The import of what draws boxes around help texts costs more than all other imports of a help text.
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data = typer.Typer(
    no_args_is_help=True, help="Datasets: import and inspect them.", rich_markup_mode=None
)
app.add_typer(data, name="data")

# The names of `training.registry`, whose import is too slow for a help text.
MODELS = "demand, churn, next-purchase, next-category, value, recommender"
MODEL = Annotated[str, typer.Argument(help=f"{MODELS}, or all")]
NAME = Annotated[str, typer.Argument(help="the dataset, as `foresell data list` names it")]
DATASET = Annotated[str | None, typer.Option(help="the dataset; FORESELL_DATASET by default")]
AS_OF = Annotated[
    str | None, typer.Option(help="ISO date, or an instant for score; records before it are known")
]
FOLDS = Annotated[
    int | None, typer.Option(min=1, help="rolling origins; FORESELL_FOLDS by default")
]
GRAIN = Annotated[str | None, typer.Option(help="demand's grain, such as product:week")]
HORIZON = Annotated[
    int | None, typer.Option(min=1, help="days ahead; what suits the records by default")
]
YES = Annotated[bool, typer.Option("--yes", help="do not ask for confirmation")]
JSON = Annotated[bool, typer.Option("--json", help="print results as JSON")]

# Exit code of a command on several models that is done for some and failed for others.
SOME_FAILED = 3


def exit_codes(function: Callable[..., None]) -> Callable[..., None]:
    """Turn a user's mistake into one sentence and exit code 2, and an interrupt into 130.

    A package that an extra would bring is a mistake of the installation.
    """

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            _limit_threads()
            function(*args, **kwargs)
        except ForesellError as error:
            console.print(f"[red]{escape(error.message)}[/]", markup=True, soft_wrap=True)
            raise typer.Exit(2) from error
        except ModuleNotFoundError as error:
            extra = _extra_with(error.name or "")
            if extra is None:
                raise
            console.print(
                f"[red]This command needs the package {error.name}, which is not installed: "
                + escape(f"pip install 'foresell[{extra}]'.")
                + "[/]",
                soft_wrap=True,
            )
            raise typer.Exit(2) from error
        except KeyboardInterrupt:
            console.print("Interrupted; finished work is kept.")
            raise typer.Exit(130) from None

    return wrapped


def _extra_with(module: str) -> str | None:
    """Return the extra with the distribution of a module; None for modules of Foresell."""
    from importlib.metadata import requires  # slow, and rarely needed

    package = module.partition(".")[0]
    if package in ("features", "training", "serving", "foresell"):
        return None
    for requirement in requires("foresell") or ():
        name, extra = re.match(r"[\w-]+", requirement), re.search(r"extra == .(\w+)", requirement)
        if name and extra and name[0].replace("-", "_") == package:
            return extra[1]
    # Distributions with other names than their modules, such as scikit-learn, are for training.
    return "train"


@app.callback()
def main() -> None:
    """Forecasts, churn, next purchases and recommendations from a retailer's own records."""


def _limit_threads() -> None:
    """Tell the numeric libraries, none of which is imported yet, how many threads to use."""
    threads = str(settings().threads)
    for variable in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS"):
        os.environ.setdefault(variable, threads)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Waiting threads must not spin: beside other work on the machine, two spinning threads take
    # many times as long as one.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def settings(dataset: str | None = None) -> "Settings":
    """Read the settings, with the dataset of the command line if it is given.

    Raises
    ------
    InvalidInput
        If an environment variable has a value that its option does not allow.
    """
    # A help text needs no settings, and their library takes long to import.
    from pydantic import ValidationError

    from foresell.settings import Settings

    try:
        options = Settings()
    except ValidationError as error:
        wrong = error.errors()[0]
        name = str(wrong["loc"][0])
        variable = f"{Settings.model_config['env_prefix']}{name.upper()}"
        reason = wrong["msg"][0].lower() + wrong["msg"][1:]
        raise InvalidInput(
            f"{variable} = {wrong['input']!r}: {reason} ({Settings.model_fields[name].description})"
            "; set another value or unset it.",
            field=name,
        ) from None
    return options if dataset is None else options.model_copy(update={"dataset": dataset})


def exit_after(failed: Collection[str], *, done: bool) -> None:
    """End a command on several models, of which some failed, with exit code 3; 1 if all did."""
    if failed:
        console.print(
            f"[red]failed: {', '.join(failed)}[/]" + ("; the rest is done" if done else "")
        )
        raise typer.Exit(SOME_FAILED if done else 1)


def confirm(question: str, *, yes: bool) -> None:
    """Ask a question on standard error, unless `yes`; anything but a yes ends the command."""
    if not yes:
        typer.confirm(question, abort=True, err=True)


def show(value: Any) -> None:
    """Print a result as JSON on standard output."""
    sys.stdout.write(json.dumps(value, indent=1, default=str) + "\n")


def make_grid(*columns: str, show_lines: bool = False) -> "Table":
    """Return an empty table to print; a help text is spared the import of its library."""
    from rich.table import Table

    return Table(*columns, show_lines=show_lines)


def cell(value: Any) -> str:
    """Format a value for a table."""
    return f"{value:.4f}" if isinstance(value, float) else str(value)
