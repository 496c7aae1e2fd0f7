"""How records reach a model through a client's own camera, monitor or keyboard.

A picture is seen off centre and in other light, by a sensor with noise of its own, and is compressed on the way. A
row's numbers are measured by instruments that drift and round, and are typed by hands that slip.
"""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator
from scipy.fft import dctn, idctn
from scipy.ndimage import gaussian_filter, zoom
from scipy.ndimage import shift as shifted

from safelight.drill.values import Values

BLOCK = 8
"""Pixels of a side of what JPEG compresses at once."""


def filmed(values: Array, frame: int, about: Values, seed: int) -> Array:
    """Return one record as frame `frame` of a film shows it, whose path and light follow from `seed`.

    The camera, or the subject, strays and is drawn back (an Ornstein-Uhlenbeck process), exposure follows slowly, and
    each frame has noise of its own. Of a row, two numbers stray likewise, in steps that a person would make.
    """
    path, own = np.random.default_rng(seed), np.random.default_rng([seed, frame])
    at, drawn = np.zeros(3), path.uniform(0.02, 0.2)
    some = path.permutation(max(len(about.columns), 1))[:2]
    for _ in range(frame):
        at = (1 - drawn) * at + path.normal(0, 1, 3)
    if not about.pictures:
        moved = values.copy()
        moved[:, some] += np.round(0.5 * at[: len(some)]) * about.unit[some]
        return moved
    side = min(values.shape[-2:])
    moved = _shifted(values, at[:2] * side / 120)
    light = 1 + 0.02 * at[2]
    return _held(moved * light + own.normal(0, 0.01, values.shape) * about.size, about)


def seen_by(values: Array, frames: Array, about: Values, seed: int) -> Array:
    """Return records (n, ...) as a poor device gives them; the device follows from `seed`, its noise from `frames`.

    A camera has its own exposure, gamma, focus, frame and compression, and noise that grows with the light. A form is
    filled in by hand: of the numbers some are rounded to five steps, and one in thirty is off by one or two steps.
    """
    device = np.random.default_rng(seed)
    if not about.pictures:
        rounded = device.random(values.shape[1:]) < 0.15
        coarse = np.where(rounded & ~about.whole, np.round(values / (5 * about.unit)) * 5 * about.unit, values)
        slips = np.stack([_slips(values.shape[1], np.random.default_rng([seed, int(frame)])) for frame in frames])
        return np.asarray(coarse + slips * about.unit)
    gain, gamma, grain = np.exp(device.normal(0, 0.12)), np.exp(device.normal(0, 0.15)), device.uniform(0.005, 0.05)
    blur, quality = device.uniform(0, 0.012) * min(values.shape[-2:]), device.uniform(0.02, 0.12)
    close, off = 1 + device.uniform(0, 0.08), device.normal(0, 0.015, 2) * min(values.shape[-2:])
    light = np.clip((_cropped(_shifted(values, off), close) - about.low) / about.size, 0, 1) ** gamma * gain
    light = gaussian_filter(light, (0, 0, blur, blur))
    noise = np.concatenate([np.random.default_rng([seed, int(frame)]).normal(0, 1, (1, *values.shape[1:]))
                            for frame in frames])  # fmt: skip
    light = light + grain * np.sqrt(np.clip(light, 0.05, 1)) * noise
    return _held(about.low + _compressed(light, quality) * about.size, about)


def again(values: Array, about: Values, seed: int) -> Array:
    """Return a picture as somebody sends it a second time: cut a little otherwise, a little lighter or darker."""
    rng = np.random.default_rng(seed)
    moved = _shifted(_cropped(values, 1 + rng.uniform(0, 0.1)), rng.normal(0, 0.02, 2) * min(values.shape[-2:]))
    return _held(about.low + (moved - about.low) * np.exp(rng.normal(0, 0.1)), about)


def _slips(count: int, rng: Generator) -> Array:
    """Return (count,) by how many steps each number is mistyped: most by none."""
    return np.where(rng.random(count) < 1 / 30, rng.choice([-2, -1, 1, 2], count), 0)


def _shifted(values: Array, by: Array) -> Array:
    """Return pictures moved by parts of pixels; what comes in at the border is the border."""
    return np.asarray(shifted(values, (0, 0, *by.tolist()), order=1, mode="nearest"))


def _cropped(values: Array, factor: float) -> Array:
    """Return the middle of pictures, made as large as they were; factor >= 1."""
    height, width = values.shape[-2:]
    large = zoom(values, (1, 1, factor, factor), order=1)
    top, left = (large.shape[-2] - height) // 2, (large.shape[-1] - width) // 2
    return np.asarray(large[..., top : top + height, left : left + width])


def _compressed(values: Array, step: float) -> Array:
    """Return pictures (n, c, h, w) in [0, 1] as JPEG leaves them: cosines of 8 x 8 pixels, the finer the coarser."""
    height, width = values.shape[-2:]
    room = [(0, 0), (0, 0), (0, -height % BLOCK), (0, -width % BLOCK)]
    padded = np.pad(values, room, mode="edge")
    n, c, h, w = padded.shape
    blocks = padded.reshape(n, c, h // BLOCK, BLOCK, w // BLOCK, BLOCK)
    waves = dctn(blocks, axes=(3, 5), norm="ortho")
    along = np.arange(BLOCK)
    steps = step * (1 + (along[:, None] + along)) / 2
    waves = np.round(waves / steps[:, None, :]) * steps[:, None, :]
    return np.asarray(idctn(waves, axes=(3, 5), norm="ortho").reshape(n, c, h, w)[..., :height, :width])


def _held(values: Array, about: Values) -> Array:
    return np.clip(values, about.low, about.high)
