"""Random recurrent layers, with and without masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import layers

from random_models.kind import IMAGE, SERIES, VOLUME, Kind, Rng, chance, pick

CELLS: dict[str, Callable[[int], Any]] = {
    "GRUCell": layers.GRUCell,
    "LSTMCell": layers.LSTMCell,
    "SimpleRNNCell": layers.SimpleRNNCell,
}


def recurrent(rng: Rng, kind: Any) -> Any:
    """Make an LSTM, a GRU or a SimpleRNN."""
    extra: dict[str, Any] = {}
    if kind is layers.GRU:
        extra["reset_after"] = chance(rng, 0.6)
    if kind is not layers.SimpleRNN:
        extra["recurrent_activation"] = pick(rng, "sigmoid", "sigmoid", "hard_sigmoid")
    return kind(
        int(rng.integers(2, 6)),
        activation=pick(rng, "tanh", "tanh", "relu", "softsign"),
        use_bias=chance(rng, 0.8),
        return_sequences=chance(rng, 0.5),
        go_backwards=chance(rng, 0.2),
        **extra,
    )


def single(kind: Any) -> Any:
    """Make a kind of one recurrent layer."""
    return lambda rng, x: recurrent(rng, kind)(x)


def masked(rng: Rng, x: Any) -> Any:
    """Apply a layer that reads a mask after a Masking."""
    x = layers.Masking(pick(rng, 0.0, 0.0, 1.0))(x)
    kind = pick(rng, layers.LSTM, layers.GRU, layers.SimpleRNN, None)
    return layers.GlobalAveragePooling1D()(x) if kind is None else recurrent(rng, kind)(x)


def both_ways(rng: Rng, x: Any) -> Any:
    """Apply a Bidirectional."""
    inner = pick(rng, layers.LSTM, layers.GRU, layers.SimpleRNN)
    merge = pick(rng, "concat", "concat", "sum", "mul", "ave")
    return layers.Bidirectional(inner(3, return_sequences=chance(rng, 0.5)), merge_mode=merge)(x)


def cell(name: str) -> Any:
    """Make an RNN around a cell."""
    return lambda rng, x: layers.RNN(CELLS[name](3), return_sequences=chance(rng, 0.5))(x)


def stacked(rng: Rng, x: Any) -> Any:
    """Apply an RNN around two cells."""
    cells = [CELLS[pick(rng, *CELLS)](int(rng.integers(2, 4))) for _ in range(2)]
    return layers.RNN(layers.StackedRNNCells(cells))(x)


def convolutional(kind: Any) -> Any:
    """Make a ConvLSTM."""
    return lambda rng, x: kind(
        2, 2, padding=pick(rng, "same", "valid"), return_sequences=chance(rng, 0.3)
    )(x)


KINDS = (
    Kind("LSTM", "recurrent", (SERIES,), single(layers.LSTM), traced=True),
    Kind("GRU", "recurrent", (SERIES,), single(layers.GRU), traced=True),
    Kind("SimpleRNN", "recurrent", (SERIES,), single(layers.SimpleRNN), traced=True),
    Kind("Masking", "recurrent", (SERIES,), masked, traced=True),
    Kind("Bidirectional", "recurrent", (SERIES,), both_ways, traced=True),
    Kind("StackedRNNCells", "recurrent", (SERIES,), stacked, traced=True),
    *(Kind(name, "recurrent", (SERIES,), cell(name), traced=True) for name in CELLS),
    Kind("ConvLSTM1D", "recurrent", (IMAGE,), convolutional(layers.ConvLSTM1D), traced=True),
    Kind("ConvLSTM2D", "recurrent", (VOLUME,), convolutional(layers.ConvLSTM2D), traced=True),
)
