"""Checks on canonical frames: what passes goes in, what fails goes to quarantine.

Used by every source's import. Nothing vanishes: read = accepted + quarantined + duplicates.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import polars as pl

from features.errors import ImportRejected
from features.tables import Table

QUARANTINE_SCHEMA = pl.Schema(
    {
        "table": pl.String,
        "row": pl.UInt32,
        "column": pl.String,
        "value": pl.String,
        "reason": pl.String,
    }
)


@dataclass
class TableReport:
    """What became of the rows of one table.

    Attributes
    ----------
    read, accepted, quarantined, duplicates
        Numbers of rows; the first is the sum of the others.
    replaced
        Accepted rows that took the place of a stored row with the same key.
    touched
        Accepted rows that a rule of the source changed, by rule.
    """

    read: int
    accepted: int
    quarantined: int
    duplicates: int
    replaced: int = 0
    touched: dict[str, int] = field(default_factory=dict)


@dataclass
class ImportReport:
    """What an import did, table by table."""

    dataset: str
    snapshot: str
    tables: dict[str, TableReport]

    def to_json(self) -> dict[str, object]:
        """Return the report as plain values, in the shape of `data import --json`."""
        return asdict(self)


@dataclass(frozen=True)
class Rule:
    """A source's reason to keep rows out: where `fails` is true, the row is quarantined."""

    column: str
    reason: str
    fails: pl.Expr


def standard_rules(table: Table, columns: list[str]) -> list[Rule]:
    """Derive the rules that a table's own definition implies: presence and range."""
    rules = []
    for name in columns:
        column = table.columns.get(name)
        if column is None:
            continue
        if column.required:
            rules.append(Rule(name, f"{name} is missing", pl.col(name).is_null()))
        if column.minimum is not None:
            rules.append(
                Rule(name, f"{name} is below {column.minimum:g}", pl.col(name) < column.minimum)
            )
        if column.dtype == pl.Float64:
            rules.append(Rule(name, f"{name} is not finite", ~pl.col(name).is_finite()))
    return rules


def split(
    table: Table, frame: pl.DataFrame, rules: list[Rule]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Divide rows into those that pass and a report of those that fail.

    Returns
    -------
    good
        The rows that pass every rule, without change.
    bad
        One row a failing row, with the first rule it failed, in `QUARANTINE_SCHEMA`.
    """
    failed = frame.select(
        pl.coalesce(
            pl.when(rule.fails).then(pl.lit(number, dtype=pl.Int16))
            for number, rule in enumerate(rules)
        ).alias("rule")
    ).get_column("rule")
    if failed.null_count() == len(failed):
        return frame, pl.DataFrame(schema=QUARANTINE_SCHEMA)
    numbered = frame.with_columns(failed).with_row_index("row").filter(pl.col("rule").is_not_null())
    bad = pl.concat(
        numbered.filter(pl.col("rule") == number).select(
            pl.lit(table.name).alias("table"),
            "row",
            pl.lit(rule.column).alias("column"),
            pl.col(rule.column).cast(pl.String).alias("value"),
            pl.lit(rule.reason).alias("reason"),
        )
        for number, rule in enumerate(rules)
    ).sort("row")
    return frame.filter(failed.is_null()), bad.cast(QUARANTINE_SCHEMA)


def check_share(name: str, read: Mapping[str, int], bad: pl.DataFrame, max_share: float) -> None:
    """Stop an import in which too large a share of a table's rows failed.

    Raises
    ------
    ImportRejected
        Naming the table, the share and its most frequent reason.
    """
    for table, part in bad.group_by("table", maintain_order=True):
        share = part.height / max(read[str(table[0])], 1)
        if share > max_share:
            reason = part.get_column("reason").mode().sort()[0]
            raise ImportRejected(
                f"{share:.1%} of the rows of {table[0]} in {name} failed validation, more than "
                f"the {max_share:.1%} allowed; most often: {reason}. The dataset stays as it "
                "was. Mend the source, or raise FORESELL_MAX_BAD_SHARE.",
                field=str(table[0]),
            )
