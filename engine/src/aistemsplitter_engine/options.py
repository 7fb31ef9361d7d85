"""What may be chosen, by name; light to import, for the command line's sake."""

from typing import Literal

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "float32", "bf16", "float16"]
Clip = Literal["rescale", "clamp", "none"]
FormatName = Literal["wav", "flac", "mp3", "opus", "m4a"]
