"""Digests of the files of a version."""

import os

import pytest

from features.errors import InvalidInput
from training.published import digests


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "churn").mkdir()
    (tmp_path / "churn" / "curves.npy").write_bytes(b"0123456789")
    (tmp_path / "about.json").write_text("{}")
    return tmp_path


def test_every_file_is_measured_and_an_intact_folder_passes(folder):
    measured = digests.measure(folder)
    assert list(measured) == ["about.json", "churn/curves.npy"]
    assert measured["churn/curves.npy"].size == 10
    digests.verify(folder, measured)


@pytest.mark.parametrize("content", [b"0123x56789", b"012345678", b""])
def test_a_changed_or_truncated_file_is_named(folder, content):
    measured = digests.measure(folder)
    (folder / "churn" / "curves.npy").write_bytes(content)
    with pytest.raises(InvalidInput, match=r"churn/curves.npy.*foresell rollback"):
        digests.verify(folder, measured)


def test_a_missing_file_is_named(folder):
    measured = digests.measure(folder)
    (folder / "about.json").unlink()
    with pytest.raises(InvalidInput, match=r"about.json.*cannot be read"):
        digests.verify(folder, measured)


def test_stamps_change_with_a_file_and_not_with_a_further_link(folder):
    measured = digests.measure(folder)
    before = digests.stamps(folder, measured)
    os.link(folder / "about.json", folder / "link.json")
    assert digests.stamps(folder, measured) == before
    (folder / "about.json").write_text("{ }")
    assert digests.stamps(folder, measured) != before
