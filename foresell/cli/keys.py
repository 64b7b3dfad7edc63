"""Commands of API keys: create, list and revoke them."""

from typing import Annotated, Any

import typer

from foresell.cli.edge import JSON, app, exit_codes, make_grid, settings, show
from foresell.progress import console

keys = typer.Typer(no_args_is_help=True, help="API keys of the service.", rich_markup_mode=None)
app.add_typer(keys, name="keys")


@keys.command()
@exit_codes
def create(
    name: Annotated[str, typer.Argument(help="whom the key is for")],
    scope: Annotated[
        list[str], typer.Option(help="read, write or admin (all); may be repeated")
    ] = ["read"],  # noqa: B006 - typer copies it
    rate: Annotated[
        float | None, typer.Option(min=0.01, help="units per second; FORESELL_RATE_LIMIT else")
    ] = None,
) -> None:
    """Create a key and print it once. Example: `foresell keys create shop --scope read`."""
    key = _store().create(name, scope, rate)
    console.print(f"Key of {name}; only its hash is stored, so keep it now:")
    typer.echo(key)


@keys.command("list")
@exit_codes
def list_keys(as_json: JSON = False) -> None:
    """List the keys by name. Example: `foresell keys list`."""
    rows = [
        {
            "name": key.name,
            "scopes": sorted(key.scopes),
            "rate": key.rate,
            "created": key.created.isoformat(timespec="seconds"),
        }
        for key in _store().stored()
    ]
    if as_json:
        show(rows)
        return
    grid = make_grid("name", "scopes", "units per second", "created")
    for row in rows:
        grid.add_row(row["name"], ", ".join(row["scopes"]), str(row["rate"] or ""), row["created"])
    console.print(grid)


@keys.command()
@exit_codes
def revoke(name: Annotated[str, typer.Argument(help="the name of the key")]) -> None:
    """Delete a key; services refuse it within seconds. Example: `foresell keys revoke shop`."""
    _store().revoke(name)
    console.print(f"The key of {name} is revoked.")


def _store() -> Any:
    from serving.http.keys import KeyStore

    return KeyStore(settings().home)
