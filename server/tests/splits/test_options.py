"""Options of splits: which go together, their price, and the fingerprints of requests."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from aistemsplitter_engine.errors import OptionError
from aistemsplitter_engine.formats import OutputFormat
from aistemsplitter_engine.options import Clip, Normalize
from aistemsplitter_server.splits import idempotency
from aistemsplitter_server.splits.options import SplitOptions
from aistemsplitter_server.splits.schemas import CreateSplit
from aistemsplitter_server.splits.schemas import OutputFormat as FormatName

REQUEST: dict[str, Any] = {
    "input": {"type": "uploaded_file", "uploadId": "upl_1"},
    "stemModel": "htdemucs",
    "outputFormat": "mp3",
}
FORMATS = FormatName.__args__  # type: ignore[attr-defined]


def request(**fields: object) -> CreateSplit:
    return CreateSplit.model_validate({**REQUEST, **fields})


@pytest.mark.parametrize(
    ("format", "options", "field", "reason"),
    [
        ("flac", {"bitDepth": 32}, "bitDepth", "flac has a bit depth of 16 or 24"),
        ("mp3", {"bitDepth": 16}, "bitDepth", "mp3 has no bit depth; leave it out"),
        ("wav", {"bitrate": 128}, "bitrate", "wav has no bitrate; leave it out"),
        ("opus", {"sampleRate": 44_100}, "sampleRate", "opus has a sample rate of 48000 Hz"),
        ("m4a", {"bitrate": 31}, "bitrate", "m4a has a bitrate of 32 to 320"),
        ("wav", {"bitDepth": 32, "clip": "clamp"}, "clip", "stems in floating point are never"),
        ("wav", {"seed": 1}, "seed", "needs shifts, of which it is the seed"),
        ("wav", {"seed": 1, "shifts": 0}, "seed", "needs shifts, of which it is the seed"),
        ("wav", {"shifts": 11}, "shifts", "less than or equal to 10"),
        ("wav", {"overlap": 0.76}, "overlap", "less than or equal to 0.75"),
        ("wav", {"bitDepth": "24"}, "bitDepth", "16, 24 or 32"),
        ("wav", {"mono": True}, "mono", "not permitted"),
    ],
)
def test_options_that_do_not_go_together(
    format: str, options: dict[str, object], field: str, reason: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        request(outputFormat=format, options=options)
    (error,) = caught.value.errors()
    assert error["loc"] == ("options", field)
    assert reason in error["msg"]


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_accepted_is_what_the_engine_encodes(format: Any) -> None:
    for depth in (16, 24, 32):
        assert is_accepted(format, bitDepth=depth) == is_encoded(format, bit_depth=depth)
    for bitrate in range(8, 511):
        assert is_accepted(format, bitrate=bitrate) == is_encoded(format, bitrate=bitrate)
    for rate in (8000, 12_345, 44_100, 48_000, 96_000, 192_000):
        kept = OutputFormat(format).sample_rate(rate) == rate
        assert is_accepted(format, sampleRate=rate) == kept or format == "flac"


def is_accepted(format: str, **options: object) -> bool:
    try:
        request(outputFormat=format, options=options)
    except ValidationError:
        return False
    return True


def is_encoded(format: Any, **options: Any) -> bool:
    try:
        OutputFormat(format, **options)
    except OptionError:
        return False
    return True


def test_names_are_those_of_the_engine() -> None:
    schema = SplitOptions.model_json_schema()["properties"]
    assert schema["clip"]["anyOf"][0]["enum"] == [*Clip.__args__]  # type: ignore[attr-defined]
    assert schema["normalize"]["anyOf"][0]["enum"] == [
        *Normalize.__args__  # type: ignore[attr-defined]
    ]


@pytest.mark.parametrize(
    ("options", "factor"),
    [
        ({}, 1),
        ({"bitDepth": 24, "precision": "float32"}, 1),
        ({"shifts": 0}, 1),
        ({"shifts": 1}, 1),
        ({"shifts": 10}, 10),
        ({"overlap": 0}, 1),
        ({"overlap": 0.25}, 1),
        ({"overlap": 0.5}, 1.5),
        ({"overlap": 0.75, "shifts": 2}, 6),
    ],
)
def test_the_price_is_that_of_the_segments_to_compute(
    options: dict[str, object], factor: float
) -> None:
    assert SplitOptions.model_validate(options).factor == factor


def test_a_preview_costs_its_own_seconds() -> None:
    options = SplitOptions.model_validate({"previewSeconds": 30, "shifts": 2})
    assert [options.price(seconds) for seconds in (0.2, 20.2, 3600)] == [1, 41, 60]


def test_requests_without_options_have_the_fingerprints_of_earlier_versions() -> None:
    known = "4922682530936f74a6f6e690ac01b66d3c5bac182f7cd2df6e44a09cd32a6dff"
    assert idempotency.fingerprint(request()) == known
    assert idempotency.fingerprint(request(options={})) == known
    assert idempotency.fingerprint(request(options=None)) == known
    assert idempotency.fingerprint(request(options={"bitrate": 128})) != known
