"""NumPy arrays of a published version, one file each, memory-mapped when read.

Arrays in, `.npy` files out, and back. Processes that map the same file share one copy of it.
"""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray


def path_of(folder: Path, name: str) -> Path:
    """Return the file of the array that is stored as `name`."""
    return folder / f"{name}.npy"


def write(folder: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write each array to `<name>.npy`, without pickled objects."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in arrays.items():
        np.save(path_of(folder, name), values, allow_pickle=False)


def read(folder: Path, name: str) -> NDArray[Any]:
    """Memory-map the array that `write` stored as `name`."""
    path = path_of(folder, name)
    # NumPy cannot map an empty array.
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError:
        return np.load(path, allow_pickle=False)  # type: ignore[no-any-return]
    # A plain array view stays mapped, and indexing it costs half as much as indexing a memmap.
    return np.asarray(mapped)


def replace(path: Path, values: NDArray[Any]) -> None:
    """Write an array to a new file at `path`; mappings of the previous file stay valid."""
    path.unlink()
    np.save(path, values, allow_pickle=False)


class StoredArrays:
    """Base class of dataclasses whose fields are arrays: each field is stored as one file.

    Attributes
    ----------
    prefix
        First part of the file names: `<prefix>_<field>.npy`.
    """

    prefix: ClassVar[str]

    def save(self, folder: Path) -> None:
        """Write every field."""
        names = [item.name for item in fields(self)]  # type: ignore[arg-type]
        write(folder, {f"{self.prefix}_{name}": getattr(self, name) for name in names})

    def replace(self, folder: Path) -> None:
        """Write every field to a new file; mappings of the previous files stay valid."""
        for item in fields(self):  # type: ignore[arg-type]
            replace(path_of(folder, f"{self.prefix}_{item.name}"), getattr(self, item.name))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Memory-map the fields that `save` wrote."""
        names = [item.name for item in fields(cls)]  # type: ignore[arg-type]
        return cls(**{name: read(folder, f"{cls.prefix}_{name}") for name in names})
