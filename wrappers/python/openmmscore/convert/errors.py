"""What goes wrong when weights of another program are converted."""

from __future__ import annotations


class ConversionError(ValueError):
    """Weights of another program cannot be converted; the message names object, finding and remedy."""
