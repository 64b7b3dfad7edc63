"""Statistics of a whole population, for a dataset that holds only some of its customers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PopulationStatistics:
    """What a customer's features are measured against.

    Attributes
    ----------
    typical_spend
        Median spend of the visits that have any, in units of `builder.MONEY_UNIT`; None if the
        records have no money.
    several_channels
        Whether customers buy through more than one channel.
    attributes
        Columns of `customers` that serve as features.
    """

    typical_spend: float | None = None
    several_channels: bool = False
    attributes: tuple[str, ...] = ()
