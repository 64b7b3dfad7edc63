"""Figures of single series and of the season."""

from training.models.demand.series_plots import seasonality


def test_the_week_has_seven_bars(journey):
    _, weekdays = seasonality(journey, journey.end).axes
    assert len({bar.get_x() for bar in weekdays.patches}) == 7
    assert [label.get_text() for label in weekdays.get_xticklabels()] == list("MTWTFSS")
