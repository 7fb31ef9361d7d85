"""``aistemsplitter-local models check``."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import click

from aistemsplitter_engine.cli.device import device_option
from aistemsplitter_engine.errors import EngineError, ModelError
from aistemsplitter_engine.options import Device

if TYPE_CHECKING:
    from aistemsplitter_engine.arrays import FloatArray
    from aistemsplitter_engine.weights.catalogue import ModelSpec
    from aistemsplitter_engine.weights.registry import LocalModel


@click.command()
@click.argument("name")
@device_option
def check(name: str, device: Device) -> None:
    """Verify that an installed model works here.

    Its files' SHA-256 are computed, and a sample that ships with the engine is separated in
    float32. If the package that published the model's family is installed (demucs for HTDemucs,
    pymss-core for RoFormers), it separates the sample, too, and the largest difference of each stem
    is printed. The exit code is 1 if anything is wrong.
    """
    try:
        _check(name, device)
    except EngineError as error:
        click.echo(f"Error: {error}", err=True)
        raise SystemExit(1) from None


def _check(name: str, device: Device) -> None:
    from aistemsplitter_engine.checks.check import check_files, sample, separate_sample
    from aistemsplitter_engine.separator import Separator
    from aistemsplitter_engine.weights.combinations import Combination
    from aistemsplitter_engine.weights.registry import find_model

    model = find_model(name)
    if isinstance(model, Combination):
        models = " and ".join(model.models)
        raise ModelError(f"{name} is a combination of models; check these: {models}")
    for file in check_files(model):
        verdict = "as expected" if file.known else "not known beforehand"
        click.echo(f"{file.path}: SHA-256 {file.sha256}, {verdict}")
    mixture = sample()
    with closing(Separator(model.name, device=device, precision="float32")) as separator:
        stems = separate_sample(separator, mixture)
    click.echo(f"The sample was separated into {', '.join(stems)}.")
    _compare(model, stems, mixture)


def _compare(
    model: ModelSpec | LocalModel, stems: dict[str, FloatArray], mixture: FloatArray
) -> None:
    """Print the differences from the stems of the reference package, if it is installed."""
    from aistemsplitter_engine.checks.check import (
        REFERENCES,
        TOLERANCE,
        differences,
        family_of,
        members,
        reference_version,
    )

    family = family_of(model)
    reference = reference_version(family)
    if reference is None:
        package = REFERENCES[family]
        click.echo(f"Not compared with {package}: to do that, pip install {package}")
        return
    from aistemsplitter_engine.checks.references import reference_stems

    try:
        expected = reference_stems(members(model), mixture)
    except ImportError as error:
        raise ModelError(f"{reference} cannot be imported: {error}") from None
    found = differences(stems, expected)
    for one in found:
        click.echo(
            f"{one.stem}: differs from {reference} by at most {one.largest:.1e} of full scale "
            f"(SNR {one.snr:.0f} dB)"
        )
    worst = max(found, key=lambda one: one.largest)
    if worst.largest > TOLERANCE:
        raise ModelError(
            f"the model {model.name}: its stem {worst.stem} differs from that of {reference} by "
            f"{worst.largest:.1e} of full scale, more than {TOLERANCE:.0e}; please report it"
        )
    click.echo(f"{model.name} makes the stems of {reference}, to within {TOLERANCE:.0e}.")
