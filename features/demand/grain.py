"""Grain: the keys that define a series, and the length of its periods.

Text such as `product,location:day` goes in, a checked `Grain` comes out.
"""

from dataclasses import dataclass
from typing import Self

from features.errors import InvalidInput

# Words for the two entities; every other word equals the name of its column.
_COLUMNS = {"product": "product_id", "location": "location_id"}
PRODUCT_KEYS = ("product_id", "category", "subcategory", "department", "brand")
LOCATION_KEYS = ("location_id", "region", "channel")
PERIOD_DAYS = {"day": 1, "week": 7}


@dataclass(frozen=True)
class Grain:
    """The columns that identify a series, and the length of its periods.

    Periods are blocks of one or seven days counted from `as_of`, where period 0 begins. No
    period is a part of a week.

    Attributes
    ----------
    keys
        Columns whose values identify a series, such as `("product_id", "location_id")`.
    freq
        `day` or `week`.
    """

    keys: tuple[str, ...]
    freq: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a grain such as `product:week`, `product,location:day`, `category:week`.

        Raises
        ------
        InvalidInput
            If a key or the period is unknown, or a key occurs twice.
        """
        names, _, freq = text.partition(":")
        keys = tuple(_COLUMNS.get(word.strip(), word.strip()) for word in names.split(","))
        allowed = (*PRODUCT_KEYS, *LOCATION_KEYS)
        unknown = [key for key in keys if key not in allowed]
        if unknown or freq not in PERIOD_DAYS or len(set(keys)) < len(keys):
            words = {column: word for word, column in _COLUMNS.items()}
            raise InvalidInput(
                f"grain = {text!r} is not a grain: write keys, a colon and a period, such as "
                "product:week or product,location:day. Keys are "
                f"{', '.join(words.get(key, key) for key in allowed)}, each at most once; "
                f"periods are {', '.join(PERIOD_DAYS)}.",
                field="grain",
            )
        return cls(keys, freq)

    def __str__(self) -> str:
        words = {column: word for word, column in _COLUMNS.items()}
        return ",".join(words.get(key, key) for key in self.keys) + ":" + self.freq

    @property
    def days(self) -> int:
        """Days in a period."""
        return PERIOD_DAYS[self.freq]

    @property
    def product_keys(self) -> tuple[str, ...]:
        """The keys that are attributes of the product."""
        return tuple(key for key in self.keys if key in PRODUCT_KEYS)

    @property
    def location_keys(self) -> tuple[str, ...]:
        """The keys that are attributes of the location."""
        return tuple(key for key in self.keys if key in LOCATION_KEYS)

    def periods(self, horizon_days: int) -> int:
        """Count the periods in a horizon.

        Raises
        ------
        InvalidInput
            If the horizon is not a positive whole number of periods.
        """
        if horizon_days <= 0 or horizon_days % self.days:
            raise InvalidInput(
                f"horizon = {horizon_days} days does not fit the grain {self}: give a positive "
                f"multiple of {self.days} days.",
                field="horizon",
            )
        return horizon_days // self.days
