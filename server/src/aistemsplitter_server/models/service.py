"""The rules of models: which model runs for the one that was asked for."""

from __future__ import annotations

from dataclasses import dataclass

from aistemsplitter_server.kit.errors import ModelUnavailable
from aistemsplitter_server.models.catalogue import TINY, Model

TEST_SECONDS = 30  # of a song, that a test key separates


@dataclass(frozen=True, slots=True)
class Serving:
    """The model that runs, and warnings for the user about it."""

    model: Model
    warnings: tuple[str, ...] = ()


def serving(asked: Model, installed: frozenset[str], *, test: bool, demo: bool) -> Serving:
    """Return the model that runs.

    Args:
        test: The split is one of a test key, which gets the demonstration model.
        demo: The demonstration model may replace one that is not installed.

    Raises:
        ModelUnavailable: No model can run.
    """
    can_stand_in = set(asked.stems) <= set(TINY.stems)
    if test:
        if not can_stand_in:
            raise ModelUnavailable(
                f"Test keys separate with {TINY.name}, which has no {_missing(asked)}; "
                "use a model of four stems, or a live key."
            )
        return Serving(
            TINY,
            (
                f"Made with a test key: the first {TEST_SECONDS} s, by the demonstration model "
                f"{TINY.name}, in one pass.",
            ),
        )
    if asked.name in installed:
        return Serving(asked)
    if demo and can_stand_in:
        return Serving(
            TINY,
            (
                f"{asked.name} is not installed here: the demonstration model {TINY.name} is "
                "used instead, and separates real songs poorly.",
            ),
        )
    raise ModelUnavailable(
        f"The weights of {asked.name} are not installed on this server. "
        f"Its operator installs them with: aistemsplitter-server models install {asked.name}"
    )


def _missing(asked: Model) -> str:
    return " and no ".join(stem for stem in asked.stems if stem not in TINY.stems)
