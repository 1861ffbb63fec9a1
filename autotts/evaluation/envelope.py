"""The envelope of a controller's curve: what mixing neighbouring β attains at any budget."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Array", "Envelope", "envelope_at", "envelope_rows", "envelope_tokens_for", "isotonic"]

Array = npt.NDArray[np.float64]

_EPSILON = 1e-12  # accuracies are means of at most some 10^6 episodes: far coarser than this


def isotonic(y: npt.ArrayLike) -> Array:
    """Non-decreasing least-squares fit with equal weights, along the last axis.

    Uses the min-max formula (Barlow et al. 1972): fit_i = max over j ≤ i of min over k ≥ i of mean(y_j..y_k), which is
    what pooling adjacent violators gives, and needs no Python loop over thousands of resampled curves.

    Args:
        y: shape (..., n).

    Returns:
        The fit, same shape.
    """
    values = np.asarray(y, dtype=np.float64)
    n = values.shape[-1] if values.ndim else 0
    if n == 0:
        return values.copy()
    rows = values.reshape(-1, n)
    fit = np.empty_like(rows)
    chunk = max(1, 2_000_000 // (n * n))  # keeps the (rows, n, n) table of means below 16 MB
    for start in range(0, len(rows), chunk):
        fit[start : start + chunk] = _isotonic_rows(rows[start : start + chunk])
    return fit.reshape(values.shape)


def _isotonic_rows(rows: Array) -> Array:
    n = rows.shape[1]
    if n == 1 or bool((np.diff(rows, axis=1) >= 0).all()):
        return rows.copy()
    sums = np.concatenate([np.zeros((len(rows), 1)), np.cumsum(rows, axis=1)], axis=1)
    first, last = np.arange(n)[:, None], np.arange(n)[None, :]
    means = (sums[:, None, 1:] - sums[:, :-1, None]) / np.maximum(last - first + 1, 1)
    means[:, np.arange(n), np.arange(n)] = rows  # exact where nothing is pooled
    means = np.where(last >= first, means, np.inf)
    least = np.minimum.accumulate(means[:, :, ::-1], axis=2)[:, :, ::-1]
    fit: Array = np.where(first <= last, least, -np.inf).max(axis=1)
    return fit


def envelope_rows(tokens: Array, accuracy: Array) -> tuple[Array, Array]:
    """Points of each row by tokens with isotonic accuracy; shapes (R, B).

    Among points of equal tokens the better comes first, so that the isotonic fit pools them: choosing the better one
    would be choosing β with the gold in hand.
    """
    order = np.lexsort((-accuracy, tokens), axis=-1)
    return np.take_along_axis(tokens, order, -1), isotonic(np.take_along_axis(accuracy, order, -1))


def envelope_at(x: Array, y: Array, levels: Array) -> Array:
    """Envelopes (R, B) at their levels (R, L) -> (R, L)."""
    count = (x[:, :, None] <= levels[:, None, :]).sum(axis=1)
    low, high = np.clip(count - 1, 0, None), np.clip(count, None, x.shape[1] - 1)
    x_low, x_high = np.take_along_axis(x, low, 1), np.take_along_axis(x, high, 1)
    y_low, y_high = np.take_along_axis(y, low, 1), np.take_along_axis(y, high, 1)
    width = x_high - x_low
    share = np.where(width > 0, (levels - x_low) / np.where(width > 0, width, 1.0), 0.0)
    left = y_low * levels / np.where(x_low > 0, x_low, 1.0)
    result: Array = np.where(count == 0, left, y_low + share * (y_high - y_low))
    return result


def envelope_tokens_for(x: Array, y: Array, accuracy: Array) -> Array:
    """Least tokens at which each envelope (R, B) reaches its accuracy (R,); infinite where it never does."""
    reached = y >= accuracy[:, None] - _EPSILON
    high = np.argmax(reached, axis=1)
    rows = np.arange(len(x))
    low = np.maximum(high - 1, 0)
    x_low, x_high = np.where(high > 0, x[rows, low], 0.0), x[rows, high]
    y_low, y_high = np.where(high > 0, y[rows, low], 0.0), y[rows, high]
    height = y_high - y_low
    share = np.clip((accuracy - y_low) / np.where(height > 0, height, 1.0), 0.0, 1.0)
    tokens: Array = np.where(reached.any(axis=1), x_low + np.where(height > 0, share, 1.0) * (x_high - x_low), np.inf)
    return np.where(accuracy <= 0, 0.0, tokens)


class Envelope:
    """What mixing neighbouring β of one controller attains, as a function of mean tokens.

    Points sorted by tokens, accuracy made non-decreasing by isotonic regression; linear in tokens between points, flat
    right of the last, proportional to tokens left of the first (answering only that share of the questions).

    Args:
        tokens: shape (B,), ≥ 0, any unit.
        accuracy: shape (B,), in [0, 1].

    Attributes:
        tokens: sorted, shape (B,).
        accuracy: fitted, non-decreasing, shape (B,).
    """

    def __init__(self, tokens: npt.ArrayLike, accuracy: npt.ArrayLike) -> None:
        x, y = np.asarray(tokens, dtype=np.float64), np.asarray(accuracy, dtype=np.float64)
        if x.ndim != 1 or x.shape != y.shape or not len(x):
            raise ValueError(f"an envelope needs as many tokens {x.shape} as accuracies {y.shape}, at least one")
        sorted_tokens, fitted = envelope_rows(x[None], y[None])
        self.tokens: Array = sorted_tokens[0]
        self.accuracy: Array = fitted[0]

    def at(self, levels: npt.ArrayLike) -> Array:
        """Accuracy at these token levels, same shape as `levels`."""
        wanted = np.asarray(levels, dtype=np.float64)
        return envelope_at(self.tokens[None], self.accuracy[None], wanted.reshape(1, -1)).reshape(wanted.shape)

    def tokens_for(self, accuracy: float) -> float | None:
        """Least tokens at which the envelope reaches this accuracy, None where it never does."""
        tokens = float(envelope_tokens_for(self.tokens[None], self.accuracy[None], np.asarray([accuracy]))[0])
        return tokens if np.isfinite(tokens) else None
