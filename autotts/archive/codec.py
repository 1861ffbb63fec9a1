"""Arrays as bytes: shape, then zlib-compressed little-endian int64. Never pickle.

Layout: b"AT", version byte 1, number of dimensions n (one byte), n × uint32 little-endian, then the zlib stream of the
values in C order.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

__all__ = ["pack", "unpack"]

_MAGIC = b"AT\x01"
_LARGEST = 1 << 28  # values; a damaged header must not make the reader ask for all memory


def pack(array: npt.NDArray[np.int64]) -> bytes:
    """An int64 array of any shape as bytes."""
    head = _MAGIC + struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
    return head + zlib.compress(np.ascontiguousarray(array, dtype="<i8").tobytes())


def unpack(data: bytes) -> npt.NDArray[np.int64]:
    """What `pack` was given.

    Raises:
        ValueError: these bytes are not such an array.
    """
    try:
        if data[:3] != _MAGIC:
            raise ValueError("the bytes do not start as a stored array does")
        n = data[3]
        shape = struct.unpack_from(f"<{n}I", data, 4)
        size = 8
        for side in shape:
            size *= side
        if size > 8 * _LARGEST:
            raise ValueError(f"a stored array of shape {shape} is too large")
        decoder = zlib.decompressobj()
        raw = decoder.decompress(data[4 + 4 * n :], size + 1)
        if len(raw) != size:
            raise ValueError(f"a stored array of shape {shape} holds {len(raw)} bytes instead of {size}")
    except (struct.error, zlib.error, IndexError) as error:
        raise ValueError(f"a stored array is damaged ({error})") from error
    return np.frombuffer(raw, dtype="<i8").astype(np.int64).reshape(shape)
