"""The models that can be asked for. The API knows of models only what stands here."""

from __future__ import annotations

from dataclasses import dataclass

FOUR = ("drums", "bass", "other", "vocals")
# Made from the mixture: it minus the vocals, minus all stems, and minus one, such as no_drums.
INSTRUMENTAL, RESIDUAL, WITHOUT = "instrumental", "residual", "no_"


@dataclass(frozen=True, slots=True)
class Model:
    """A model: its name, its own stems in order, its aliases, and a description."""

    name: str
    stems: tuple[str, ...]
    aliases: tuple[str, ...]
    description: str

    @property
    def choices(self) -> tuple[str, ...]:
        """The stems that can be asked for."""
        without = (WITHOUT + stem for stem in self.stems)
        return (*self.stems, INSTRUMENTAL, RESIDUAL, *without)


HTDEMUCS_FT = Model("htdemucs_ft", FOUR, ("4s",), "Four networks, each tuned for one stem.")
HTDEMUCS = Model("htdemucs", FOUR, (), "One network: a quarter of the time of htdemucs_ft.")
HTDEMUCS_6S = Model(
    "htdemucs_6s", (*FOUR, "guitar", "piano"), ("6s",), "One network, with guitar and piano."
)
TINY = Model("htdemucs_tiny", FOUR, (), "For demonstration only: trained on synthetic music.")
MODELS = (HTDEMUCS_FT, HTDEMUCS, HTDEMUCS_6S, TINY)
NAMES = {name: model for model in MODELS for name in (model.name, *model.aliases)}
