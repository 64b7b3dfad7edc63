"""Rows with one key in one import: sorted rows in, one row a key and their counts out.

Equal rows are duplicates. Rows of one file with other content are added up in an additive table and
refused elsewhere; the rows of a later file replace those of an earlier one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from features.columns import CUSTOMER_ID
from features.errors import ImportRejected
from features.ingest.source_columns import SOURCE_FILE, SOURCE_LINE
from features.storage.snapshots import SOURCE
from features.tables import Table

# Origin of a staged row: its file, and the hash of all named columns of its line.
KEY_FILE, LINE_HASH = "#origin", "#line"
ORIGIN = pl.Schema({KEY_FILE: pl.String(), LINE_HASH: pl.UInt64()})
ADDED_UP = "added up with other rows of the same product, location and day"
_ROWS, _FORMER = "#rows", "#former"
# Between the number of a source and the name of a file.
_OF = "\0"


def origin_columns(columns: Sequence[str]) -> list[pl.Expr]:
    """Return the columns of ORIGIN for rows of a source with some columns."""
    origins = zip(ORIGIN.items(), (SOURCE_FILE, SOURCE_LINE), strict=True)
    return [
        (pl.col(column) if column in columns else pl.lit(None)).cast(dtype).alias(name)
        for (name, dtype), column in origins
    ]


def in_source(rows: pl.DataFrame, number: int) -> pl.DataFrame:
    """Return rows with the columns of ORIGIN, whose files belong to one of several sources."""
    known = [pl.col(KEY_FILE).fill_null("")] if KEY_FILE in rows.columns else []
    file = pl.concat_str(pl.lit(f"{number}{_OF}"), *known)
    line = pl.col(LINE_HASH) if LINE_HASH in rows.columns else pl.lit(None, ORIGIN[LINE_HASH])
    return rows.with_columns(file.alias(KEY_FILE), line.alias(LINE_HASH))


@dataclass(frozen=True)
class DistinctRows:
    """Rows with distinct keys.

    Attributes
    ----------
    rows
        The rows, sorted by key.
    weights
        For keys of several rows: their number in _ROWS, without duplicates, and the number of those
        that a later file replaced in _FORMER.
    added_up
        Number of rows that were added to others.
    """

    rows: pl.DataFrame
    weights: pl.DataFrame
    added_up: int = 0

    def count(self, stored: pl.DataFrame, key: Sequence[str]) -> tuple[int, int, int]:
        """Count the rows beyond the first of each key.

        Returns
        -------
        Their number, the number of those with a key whose row equals a stored one, and the number
        of rows that were replaced by others of the import.
        """
        if self.weights.is_empty():
            return 0, 0, 0
        rows = self.rows.join(self.weights, on=key, nulls_equal=True)
        content = [name for name in self.rows.columns if name != SOURCE]
        equal = rows.join(stored, on=content, how="semi", nulls_equal=True)
        new = rows.join(stored, on=content, how="anti", nulls_equal=True)
        surplus = pl.col(_ROWS).sum() - pl.len()
        return (
            int(rows.select(surplus).item()),
            int(equal.select(surplus).item()),
            int(new.select(pl.col(_FORMER).sum()).item()),
        )


def distinct_rows(table: Table, rows: pl.DataFrame, key: Sequence[str]) -> DistinctRows:
    """Reduce rows to one a key.

    Parameters
    ----------
    rows
        Rows with the columns of ORIGIN, sorted by key and, within a key, in order of arrival.

    Raises
    ------
    ImportRejected
        If rows of one file have one key and other content, and cannot be added up.
    """
    names = [name for name in rows.columns if name not in ORIGIN]
    none = pl.DataFrame(schema={**rows.select(key).schema, _ROWS: pl.UInt32, _FORMER: pl.UInt32})
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift()) for name in key)
    follows = rows.select(same.alias("same").fill_null(value=False)).to_series()
    if not follows[1:].any():
        return DistinctRows(rows.select(names), none)
    follows[0] = False
    is_repeated = follows | follows.shift(-1, fill_value=False)
    content = [name for name in names if name != SOURCE]
    repeated = rows.filter(is_repeated).unique(
        [*content, *ORIGIN], keep="last", maintain_order=True
    )
    in_file = [*key, KEY_FILE]
    counts = repeated.group_by(in_file, maintain_order=True).agg(pl.len().alias(_ROWS))
    added_up = 0
    if (counts.get_column(_ROWS) > 1).any():
        if not table.additive:
            raise _conflict(table, repeated, key)
        added_up = int(counts.filter(pl.col(_ROWS) > 1).get_column(_ROWS).sum())
        repeated = repeated.group_by(in_file, maintain_order=True).agg(_added(names, key))
    files = repeated.join(counts, on=in_file, nulls_equal=True, maintain_order="left")
    weights = _weights(files, content, key)
    last = files.group_by(key, maintain_order=True).last().select(names)
    reduced = pl.concat([rows.filter(~is_repeated).select(names), last]).sort(key)
    return DistinctRows(reduced, weights, added_up)


def _weights(files: pl.DataFrame, content: list[str], key: Sequence[str]) -> pl.DataFrame:
    """Count the rows of each key; a file with the content of the last one adds none."""
    last = files.group_by(key, maintain_order=True).last()
    is_last = pl.int_range(pl.len()).over(key) == pl.len().over(key) - 1
    earlier = files.with_columns(is_last.alias("#last")).filter(~pl.col("#last"))
    former = earlier.join(last, on=content, how="anti", nulls_equal=True)
    counted = former.group_by(key).agg(pl.col(_ROWS).sum().alias(_FORMER))
    joined = last.join(counted, on=key, how="left", nulls_equal=True)
    replaced = pl.col(_FORMER).fill_null(0)
    return joined.select(
        *key, (pl.col(_ROWS) + replaced).alias(_ROWS), replaced.cast(pl.UInt32).alias(_FORMER)
    ).filter(pl.col(_ROWS) > 1)


def _added(names: list[str], key: Sequence[str]) -> list[pl.Expr]:
    """Return the sums of one file's rows; the price is the mean a unit, in any order of rows."""
    units = pl.col("quantity")
    total = units.sort().sum()
    sums = {"quantity": total, "on_sale": pl.col("on_sale").any()}
    if "price" in names:
        priced = (pl.col("price") * units).sort().sum() / units.filter(
            pl.col("price").is_not_null()
        ).sort().sum()
        mean = pl.col("price").sort().mean()
        sums["price"] = pl.when(priced.is_finite()).then(priced).otherwise(mean)
    return [sums.get(name, pl.col(name).last()).alias(name) for name in names if name not in key]


def _conflict(table: Table, repeated: pl.DataFrame, key: Sequence[str]) -> ImportRejected:
    """Return the error that names a key with several contents in one file."""
    in_file = [*key, KEY_FILE]
    several = repeated.filter(pl.len().over(in_file) > 1)
    first = several.row(0, named=True)
    pair = several.join(several.head(1).select(in_file), on=in_file, how="semi", nulls_equal=True)
    others = [name for name in pair.columns if name not in (*in_file, LINE_HASH, SOURCE)]
    differing = [name for name in others if pair.get_column(name).n_unique() > 1]
    # Customer ids must not reach a log.
    shown = ", ".join(f"{name} = {first[name]!r}" for name in key if name != CUSTOMER_ID)
    values = "; ".join(
        f"{name} is {', '.join(map(repr, pair.get_column(name).unique().sort().to_list()))}"
        for name in differing
        if name != CUSTOMER_ID
    )
    name = str(first[KEY_FILE]).partition(_OF)[2]
    file = f" of {name}" if name else ""
    keys = several.select(key).n_unique()
    cause = f"{table.name}: several rows{file} have one key and other content"
    remedy = (
        f"At least {keys:,} keys are affected. Map a column that tells the rows apart as one of "
        f"{', '.join(key)}, or drop rows. The dataset is unchanged."
    )
    return ImportRejected(
        f"{cause}, for example {shown}: {values or 'another customer'}. {remedy}",
        field=table.name,
        summary=f"{cause}. {remedy}",
    )
