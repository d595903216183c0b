"""What the family `sentence` refuses before PyTorch is imported; the rest needs PyTorch."""

from __future__ import annotations

import pytest

from shelfmark.config.load import load_encoder_config
from shelfmark.embeddings.families import family_of
from shelfmark.embeddings.protocol import EncoderFamily
from shelfmark.errors import ShelfmarkError


def test_a_training_without_its_libraries_names_what_installs_them() -> None:
    class Missing(type(family_of("sentence"))):  # type: ignore[misc]
        fit_needs = {"no_such_library": "sentence"}  # noqa: RUF012

    family: EncoderFamily = Missing()
    with pytest.raises(ShelfmarkError) as error:
        family.check_fit_installed()
    assert "encoder=sentence needs no_such_library: uv sync --extra sentence" in str(error.value)


def test_an_extra_of_gigabytes_is_never_installed_by_itself() -> None:
    family = family_of("sentence")
    assert "sentence" not in family.needs.values()
    assert family.fit_needs["torch"] == "sentence"


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("encoder.queries=3000", "queries=3000 should not exceed pool=2000"),
        ("encoder.pairs.title_abstract=0", "at least one kind should have a share above 0"),
        ("encoder.sizes=[128,64]", "should ascend"),
        ("encoder.loss=softmax", "encoder.loss"),
    ],
)
def test_an_impossible_configuration_is_refused(override: str, reason: str) -> None:
    with pytest.raises(ShelfmarkError) as error:
        load_encoder_config(["encoder=sentence", override])
    assert reason in str(error.value)
