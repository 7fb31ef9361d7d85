"""Types of the arguments that the clients' methods take.

The literals list what this version of the service knows. A newer or customised server may know
more; pass such a name with ``typing.cast(StemModelName, "mymodel")``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypedDict

from aistemsplitter._models import Split, SplitJob, TransferProgress

#: Models and their aliases; ``list_models()`` returns what a server really runs.
StemModelName: TypeAlias = Literal[
    "htdemucs_ft", "htdemucs", "htdemucs_6s", "htdemucs_tiny", "4s", "6s"
]

#: File formats of the stems.
OutputFormat: TypeAlias = Literal["wav", "flac", "mp3", "opus", "m4a"]

#: States of a split, for filtering a list.
SplitStatus: TypeAlias = Literal["queued", "processing", "succeeded", "failed"]

#: A split's id, or an object that has it: what ``create_split`` or ``get_split`` returned.
SplitId: TypeAlias = str | Split | SplitJob


class SplitOptions(TypedDict, total=False):
    """Options of ``create_split``, whose documentation describes them."""

    stem_model: StemModelName | None
    model: StemModelName | None
    output_format: OutputFormat | None
    stems: Sequence[str] | None
    webhook_url: str | None
    metadata: Mapping[str, str] | None
    filename: str | None
    idempotency_key: str | None
    on_progress: Callable[[TransferProgress], object] | None
    extra_headers: Mapping[str, str] | None
    extra_body: Mapping[str, Any] | None
