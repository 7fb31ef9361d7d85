"""Cover pictures: choosing one that every format can hold, and what containers store beside it."""

import base64
import struct

from aistemsplitter_engine.audio.tags import MAX_COVER, Cover, Pictures

_MAX_SIDE = 65_535  # pixels, of a JPEG
_FRONT_COVER = 3
_PNG = b"\x89PNG\r\n\x1a\n"
# What is attached in place of JPEG and PNG, for a warning.
_OTHER_FORMATS = {b"GIF8": "GIF", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF"}


def read_cover(pictures: Pictures) -> tuple[Cover | None, str | None]:
    """Return the picture to take over, front covers first, and a warning if one was passed over.

    What a file says of its pictures is often wrong, so only their bytes count.
    """
    warning = None
    for packet in sorted(
        pictures, key=lambda packet: packet.stream.metadata.get("comment") != "Cover (front)"
    ):
        if not packet.size:
            continue
        data = bytes(packet)
        cover = Cover(_mime(data), data)
        if is_usable(cover):
            return cover, warning
        warning = warning or _why_not(data)
    return None, warning


def is_usable(cover: Cover) -> bool:
    """Return whether a picture is what it says and can be written into any format's file."""
    return (
        bool(cover.mime)
        and cover.mime == _mime(cover.data)
        and len(cover.data) <= MAX_COVER
        and all(0 < side <= _MAX_SIDE for side in dimensions(cover))
    )


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
        if kind == 0xFF:  # fills up the space before a marker
            at += 1
            continue
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


def _mime(data: bytes) -> str:
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    return "image/png" if data.startswith(_PNG) else ""


def _why_not(data: bytes) -> str:
    if len(data) > MAX_COVER:
        return f"the cover picture of {len(data) / 1e6:.0f} MB is too large to be copied"
    name = next((name for magic, name in _OTHER_FORMATS.items() if data.startswith(magic)), "")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        name = "WebP"
    elif data[4:8] == b"ftyp":
        name = "HEIF or AVIF"
    reason = f"is {name}, neither JPEG nor PNG" if name else "is not a readable JPEG or PNG"
    return f"the cover picture {reason}, so it is not copied"
