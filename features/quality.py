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
# Columns that a row carries while it is checked.
ROW, FAILED = "#row", "#failed"


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

    def __add__(self, other: "TableReport") -> "TableReport":
        """Count what came from two sources together."""
        return TableReport(
            self.read + other.read,
            self.accepted + other.accepted,
            self.quarantined + other.quarantined,
            self.duplicates + other.duplicates,
            self.replaced + other.replaced,
            {
                rule: self.touched.get(rule, 0) + other.touched.get(rule, 0)
                for rule in (*self.touched, *other.touched)
            },
        )


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


def mark(frame: pl.LazyFrame, rules: list[Rule]) -> pl.LazyFrame:
    """Add to each row its number and the number of the first rule it fails, null where none."""
    first = pl.coalesce(
        pl.when(rule.fails).then(pl.lit(number, dtype=pl.Int16))
        for number, rule in enumerate(rules)
    )
    return frame.with_columns(first.alias(FAILED)).with_row_index(ROW)


def split(
    table: Table, marked: pl.DataFrame, rules: list[Rule]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Divide marked rows into those that pass and a report of those that fail.

    Returns
    -------
    good
        The rows that pass every rule, without their marks.
    bad
        One row a failing row, with the first rule it failed, in `QUARANTINE_SCHEMA`.
    """
    failed = marked.filter(pl.col(FAILED).is_not_null())
    good = marked if failed.is_empty() else marked.filter(pl.col(FAILED).is_null())
    bad = [
        failed.filter(pl.col(FAILED) == number).select(
            pl.lit(table.name).alias("table"),
            pl.col(ROW).alias("row"),
            pl.lit(rule.column).alias("column"),
            pl.col(rule.column).cast(pl.String).alias("value"),
            pl.lit(rule.reason).alias("reason"),
        )
        for number, rule in enumerate(rules)
    ]
    nothing = pl.DataFrame(schema=QUARANTINE_SCHEMA)
    rejected = pl.concat([nothing, *(part.cast(QUARANTINE_SCHEMA) for part in bad)])
    return good.drop(ROW, FAILED), rejected.sort("row")


def check_share(
    name: str, table: str, read: int, reasons: Mapping[str, int], max_share: float
) -> None:
    """Stop an import in which too large a share of a table's rows failed.

    Parameters
    ----------
    reasons
        Failing rows by reason.

    Raises
    ------
    ImportRejected
        Naming the table, the share and its most frequent reason.
    """
    share = sum(reasons.values()) / max(read, 1)
    if share > max_share:
        reason = min(reasons, key=lambda reason: (-reasons[reason], reason))
        raise ImportRejected(
            f"{share:.1%} of the rows of {table} in {name} failed validation, more than "
            f"the {max_share:.1%} allowed; most often: {reason}. The dataset stays as it "
            "was. Mend the source, or raise FORESELL_MAX_BAD_SHARE.",
            field=table,
        )
