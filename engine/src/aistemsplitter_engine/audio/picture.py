"""What containers want to know of a cover picture."""

import base64
import struct

from aistemsplitter_engine.audio.tags import Cover

_FRONT_COVER = 3


def dimensions(cover: Cover) -> tuple[int, int]:
    """Return the width and height in pixels of a JPEG or PNG, (0, 0) if they cannot be read."""
    data = cover.data
    if cover.mime == "image/png":
        if data[12:16] == b"IHDR" and len(data) >= 24:
            width, height = struct.unpack(">II", data[16:24])
            return int(width), int(height)
        return 0, 0
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        kind, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):  # a start of frame
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return int(width), int(height)
        at += 2 + size
    return 0, 0


def picture_block(cover: Cover) -> str:
    """Return the picture as the METADATA_BLOCK_PICTURE comment of Ogg: FLAC's block in base64."""
    mime = cover.mime.encode()
    width, height = dimensions(cover)
    block = struct.pack(">II", _FRONT_COVER, len(mime)) + mime
    block += struct.pack(">IIIIII", 0, width, height, 24, 0, len(cover.data)) + cover.data
    return base64.b64encode(block).decode()
