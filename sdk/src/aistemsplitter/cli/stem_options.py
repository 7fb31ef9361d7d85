"""Options of ``aistemsplitter split`` for how the stems are computed and encoded."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

BitDepth: TypeAlias = Annotated[
    int | None,
    typer.Option(
        metavar="BITS", help="Of lossless formats: 16 (default), 24, or 32 (float, wav only)."
    ),
]
SampleRate: TypeAlias = Annotated[
    int | None,
    typer.Option(metavar="HZ", help="Sample rate of the stems; that of the song by default."),
]
Bitrate: TypeAlias = Annotated[
    int | None,
    typer.Option(
        metavar="KBPS", help="Bit rate in kbit/s: mp3 32 to 320, m4a 32 to 320, opus 8 to 510."
    ),
]
Clip: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="HOW",
        help="Stems that exceed full scale: rescale (attenuate all alike, default), clamp (clip the"
        " peaks) or none.",
    ),
]
Normalize: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="HOW",
        help="mixture-loudness multiplies all stems by the gain that brings the song to -14 LUFS.",
    ),
]
Precision: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="auto computes in bf16 where that is faster; float32 gives the samples of Demucs.",
    ),
]
Shifts: TypeAlias = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Average this many time-shifted passes, up to 10: better, and each costs as much as "
        "the song.",
    ),
]
Seed: TypeAlias = Annotated[
    int | None,
    typer.Option(metavar="N", help="Seed of the shifts; the same seed gives the same stems."),
]
Overlap: TypeAlias = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="Overlap of adjacent segments, 0 to 0.75; 0.25 by default. 0.5 costs 1.5 times as "
        "much.",
    ),
]
PreviewSeconds: TypeAlias = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Separate, and pay for, only the first N seconds of each song, 1 to 60.",
    ),
]
