"""Arrays on disk, mapped into memory when read: many processes share one copy of them."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from features.typing import Bools


def write(folder: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write one file an array; nothing in them is executable."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values, allow_pickle=False)


def read(folder: Path, name: str) -> NDArray[Any]:
    """Map an array into memory."""
    path = folder / f"{name}.npy"
    # A file without entries cannot be mapped.
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError:
        return np.load(path, allow_pickle=False)  # type: ignore[no-any-return]
    # As a plain array it stays mapped, and each look-up costs half.
    return np.asarray(mapped)


def replace(path: Path, values: NDArray[Any]) -> None:
    """Write an array in the place of one that others may still share or have mapped."""
    path.unlink()
    np.save(path, values, allow_pickle=False)


def ends(owners: NDArray[np.integer[Any]], size: int) -> NDArray[np.int64]:
    """Return where each owner's entries end, with a zero in front; `owners` are ordered."""
    counts = np.bincount(owners, minlength=size)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def reaching(
    owners: NDArray[np.integer[Any]], values: NDArray[Any], limit: int, size: int
) -> Bools:
    """Mark what is at least the `limit`-th largest of its owner's values; `owners` are ordered.

    To put in order only what may be kept is much less work than to order all.
    """
    of_each = np.split(values, ends(owners, size)[1:-1])
    floor = [np.partition(own, -limit)[-limit] if len(own) > limit else -np.inf for own in of_each]
    return np.asarray(values >= np.array(floor, np.float64)[owners])


class Stored:
    """What a dataclass whose fields are arrays inherits to be stored, a file a field.

    Attributes
    ----------
    prefix
        The word that the files' names begin with.
    """

    prefix: ClassVar[str]

    def save(self, folder: Path) -> None:
        """Write the arrays."""
        names = [one.name for one in fields(self)]  # type: ignore[arg-type]
        write(folder, {f"{self.prefix}_{name}": getattr(self, name) for name in names})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Map what `save` wrote into memory."""
        names = [one.name for one in fields(cls)]  # type: ignore[arg-type]
        return cls(**{name: read(folder, f"{cls.prefix}_{name}") for name in names})
