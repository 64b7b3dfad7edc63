"""Statistics of a whole population, for a dataset that holds only some of its customers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PopulationStatistics:
    """Values of the population that customers' features depend on.

    Attributes
    ----------
    typical_spend
        Median spend of visits with any, in units of `integer_sums.MONEY_UNIT`; None if the
        records have no money.
    several_channels
        Whether customers buy through more than one channel.
    attributes
        Columns of `customers` that are attributes.
    """

    typical_spend: float | None = None
    several_channels: bool = False
    attributes: tuple[str, ...] = ()
