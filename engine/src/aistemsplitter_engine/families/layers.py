"""Weights of layers that networks of several families have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Weights = Mapping[str, Any]
"""Weights by their official names, arrays of NumPy or PyTorch."""


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear layer or convolution: weight (out, in, ...) and bias (out,), or None without one.

    Several linear layers side by side have weight (n, out, in) and bias (n, 1, out).
    """

    weight: Any
    bias: Any = None
