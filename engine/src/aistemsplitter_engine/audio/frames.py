"""FFmpeg's decoded frames as arrays."""

import ctypes
from typing import Any

import numpy as np
from av import AudioFrame, AudioLayout
from av.audio.codeccontext import AudioCodecContext
from numpy.typing import NDArray

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.audio.source import finite

# By FFmpeg's name, without the "p" of planar formats: type, and bits of full scale.
_INTEGERS = {
    "u8": (np.uint8, 7),
    "s16": (np.int16, 15),
    "s32": (np.int32, 31),
    "s64": (np.int64, 63),
}
_FLOATS = {"flt": np.float32, "dbl": np.float64}

# Positions of FFmpeg's own layouts, by their names; asking FFmpeg for each takes time.
_known_layouts: dict[str, tuple[str, ...]] = {}

_PLANES = 8  # FFmpeg stores pointers to further planes elsewhere


def samples_of(frame: AudioFrame, channels: int) -> tuple[FloatArray, int]:
    """Return a frame as (channels, n), and the number of samples that are not numbers.

    Raises:
        ValueError: a sample format or a number of planes that has no array.
    """
    kind = frame.format.name.removesuffix("p") if frame.format.is_planar else frame.format.name
    if kind in _FLOATS:
        return finite(_raw(frame, channels, np.dtype(_FLOATS[kind])))
    if kind not in _INTEGERS:
        raise ValueError(f"samples of the format {frame.format.name}")
    dtype, bits = _INTEGERS[kind]
    samples = _raw(frame, channels, np.dtype(dtype)).astype(np.float32, order="C")
    if kind == "u8":
        samples -= 128
    samples *= np.float32(2.0**-bits)
    return samples, 0


def _raw(frame: AudioFrame, channels: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return a view (packed) or a copy (planar) of the frame's memory as (channels, n).

    Not ``AudioFrame.to_ndarray``: it knows no 64-bit integers, and with exactly eight planes reads
    a ninth that does not exist.
    """
    count = frame.samples
    if not frame.format.is_planar:
        packed = np.frombuffer(memoryview(frame.planes[0]), dtype, count * channels)
        return np.transpose(packed.reshape(count, channels))
    if channels > _PLANES:
        raise ValueError(f"{channels} channels in planes of their own")
    samples = np.empty((channels, count), dtype)
    for channel, plane in zip(samples, frame.planes[:channels], strict=True):
        channel[:] = np.frombuffer(memoryview(plane), dtype, count)
    return samples


def positions_of(frame: AudioFrame) -> tuple[str, ...]:
    """Return the names of the frame's loudspeaker positions, one a channel."""
    layout = frame.layout
    name = layout.name
    if name not in _known_layouts:
        positions = tuple(channel.name for channel in layout.channels)
        if _owns_memory(name):
            return positions
        _known_layouts[name] = positions
    return _known_layouts[name]


def kept(frame: AudioFrame) -> AudioFrame:
    """Return the frame, made safe to free. To be called on every frame that was decoded."""
    layout_of(frame)
    return frame


def layout_of(owner: AudioFrame | AudioCodecContext) -> AudioLayout:
    """Return the layout of a frame or a stream, made safe to free.

    A layout that is not one of FFmpeg's own (channels in an order of their own, or some twice) owns
    memory, which PyAV frees with the layout and FFmpeg again with the frame: the process would
    die. So such a layout is never freed, which costs some hundred bytes a frame.
    """
    layout = owner.layout
    if _owns_memory(layout.name):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(layout))
    return layout


def _owns_memory(layout: str) -> bool:
    return "(" in layout or layout.startswith("ambisonic")
