"""Declared vocabularies of demand; schemas do not import models, so that clients stay light."""

from typing import get_args

from serving.demand.schemas import AnomalyReason, ReasonUnits
from training.models.demand import anomalies, contributions


def test_the_declared_reasons_of_anomalies_are_those_of_the_model():
    assert get_args(AnomalyReason) == anomalies.REASONS


def test_the_declared_reasons_of_explanations_are_those_of_the_model():
    assert get_args(ReasonUnits.model_fields["reason"].annotation) == contributions.REASONS
