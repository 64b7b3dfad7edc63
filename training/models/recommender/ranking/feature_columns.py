"""Order and alignment of the ranker's feature columns.

Frames of features in; frames with the same columns in the same order out.
"""

from collections.abc import Iterable, Sequence

import polars as pl

# Order of the features of the candidate generators, `rank_<name>` and `score_<name>`; further
# generators follow. LightGBM samples features by position and the neural network starts from
# random weights by position, so another order fits another model.
GENERATORS = (
    "als",
    "ease",
    "cold_start",
    "tifu_knn",
    "repeat",
    "popular",
    "popular_in_segment",
    "popular_at_location",
    "same_category",
    "seasonal",
    "user_knn",
)


def column_order(names: Iterable[str]) -> list[str]:
    """Sort features by name, those of candidate generators by `GENERATORS`."""
    return sorted(names, key=_position)


def _position(name: str) -> tuple[str, int, str]:
    prefix, _, generator = name.partition("_")
    if prefix not in ("rank", "score"):
        return name, 0, ""
    known = generator in GENERATORS
    return f"{prefix}_", GENERATORS.index(generator) if known else len(GENERATORS), generator


def align_columns(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Select columns in order; a kind of promotion that is not planned is zero."""
    absent = [pl.lit(0.0, pl.Float32).alias(name) for name in columns if name not in frame.columns]
    return frame.with_columns(absent).select(columns)


def concatenate_frames(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Stack frames of features, aligned to the columns of all of them."""
    columns = column_order({column for frame in frames for column in frame.columns})
    return pl.concat(align_columns(frame, columns) for frame in frames)
