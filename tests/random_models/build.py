"""The layers of a random model: inputs, a chain of kinds with branches, and an end."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers
from layer_examples import EXAMPLES

from random_models.kind import IMAGE, SERIES, VECTOR, VOLUME, Kind, Rng, chance, pick
from random_models.layers import KINDS
from random_models.layers.plain import DRAWN, FIRST

FEWEST, MOST = 2, 8
"""Numbers of calls before the end of a model."""

LARGEST = 6000
"""Elements of one sample beyond which a tensor is not continued: models stay quick."""

ATTEMPTS = 20
"""Draws of a layer before a model ends early, because nothing suits its tensor."""

_BY_NAME = {kind.name: kind for kind in KINDS}
_QUICK = tuple(kind for kind in KINDS if not kind.traced)

FEATURES = (*(kind.name for kind in _QUICK), *_BY_NAME, *sorted(FIRST))
"""What a model can be made to hold, by name; twice what is quickly converted."""


def build(rng: Rng, feature: str) -> tuple[keras.Model, frozenset[str]]:
    """Draw a functional or Sequential model that holds the named kind, without its weights.

    Returns:
        The model, and the families of its layers.

    Raises:
        ValueError: Keras refuses the drawn arguments, or the model has become too large.
    """
    inputs, x, families = _start(rng, feature)
    count = int(rng.integers(FEWEST, MOST + 1))
    place = int(rng.integers(count))
    middle = None
    for at in range(count):
        if at == place and feature not in FIRST:
            kind = _BY_NAME[feature]
            x = _applied(rng, kind, x)
        else:
            waits = at < place and feature not in FIRST
            x, kind = _continued(rng, x, _BY_NAME[feature].ranks if waits else ())
        families.add(kind.family)
        if at == count // 2 and chance(rng, 0.2):
            middle = x
    x = _ended(rng, x, families)
    outputs = x if middle is None or middle is x else [x, middle]
    model = keras.Model(inputs if len(inputs) > 1 else inputs[0], outputs)
    return (_sequential(model) if chance(rng, 0.2) else model), frozenset(families)


def _start(rng: Rng, feature: str) -> tuple[list[Any], Any, set[str]]:
    """Draw the inputs; the tensor that follows suits the feature."""
    if feature in FIRST:
        ids = keras.Input((int(rng.integers(3, 7)),), dtype="int32", name="ids")
        return [ids], _of_numbers(rng, feature)(ids), {"embedding"}
    rank = pick(rng, *_BY_NAME[feature].ranks)
    if rank == SERIES and feature in DRAWN and chance(rng, 0.15):
        ids = keras.Input((int(rng.integers(3, 7)),), dtype="int32", name="ids")
        return [ids], layers.Embedding(9, 4, mask_zero=chance(rng, 0.5))(ids), {"embedding"}
    shape = _shape(rng, rank) if feature in DRAWN else EXAMPLES[feature].shapes[0]
    count = len(EXAMPLES[feature].shapes) if feature not in DRAWN else 1
    if count == 1 and not chance(rng, 0.1):
        x = keras.Input(shape, name="x")
        return [x], x, set()
    pair = [keras.Input(shape, name=name) for name in ("first", "second")]
    kind = pick(rng, layers.Add, layers.Subtract, layers.Multiply, layers.Concatenate)
    return pair, kind()(pair), {"merge"}


def _of_numbers(rng: Rng, feature: str) -> Any:
    if feature == "CategoryEncoding":
        return layers.CategoryEncoding(5, output_mode=pick(rng, "multi_hot", "count"))
    return getattr(layers, feature)(int(rng.integers(4, 12)), int(rng.integers(2, 6)))


def _shape(rng: Rng, rank: int) -> tuple[int, ...]:
    if rank == VECTOR:
        return (int(rng.integers(3, 17)),)
    if rank == SERIES:
        return (int(rng.integers(5, 13)), int(rng.integers(2, 7)))
    if rank == IMAGE:
        height, width = (int(n) for n in rng.integers(5, 14, 2))
        return (height, width, pick(rng, 3, 3, 1, 2, 4))
    return tuple(int(n) for n in (*rng.integers(4, 7, 3), rng.integers(1, 4)))


def _applied(rng: Rng, kind: Kind, x: Any) -> Any:
    y = kind.apply(rng, x)
    if not 0 < math.prod(y.shape[1:]) <= LARGEST or len(y.shape) > VOLUME:
        raise ValueError(f"{kind.name} gives {y.shape}")
    return y


def _continued(rng: Rng, x: Any, ranks: tuple[int, ...]) -> tuple[Any, Kind]:
    """Draw the next layer, one whose output has one of the given ranks, if any are given."""
    suited = [kind for kind in _QUICK if len(x.shape) in kind.ranks]
    families = sorted({kind.family for kind in suited})
    for _ in range(ATTEMPTS):
        family = pick(rng, *families)
        kind = pick(rng, *(kind for kind in suited if kind.family == family))
        try:
            y = _applied(rng, kind, x)
        except (ValueError, TypeError):
            continue
        if not ranks or len(y.shape) in ranks:
            return y, kind
    raise ValueError(f"nothing continues {x.shape}")


def _ended(rng: Rng, x: Any, families: set[str]) -> Any:
    """Add a classifier, a dense layer, or nothing."""
    end = pick(rng, "softmax", "softmax", "dense", "nothing", "nothing")
    if end == "nothing":
        return x
    if len(x.shape) > VECTOR:
        flat = layers.Flatten()
        pools = {SERIES: layers.GlobalAveragePooling1D, IMAGE: layers.GlobalAveragePooling2D}
        x = (flat if chance(rng, 0.4) else pools.get(len(x.shape), layers.Flatten)())(x)
    families.add("dense")
    units = int(rng.integers(2, 12))
    if end == "dense":
        return layers.Dense(units, activation=pick(rng, None, None, "sigmoid", "tanh"))(x)
    families.add("softmax")
    if chance(rng, 0.6):
        return layers.Dense(units, activation="softmax")(x)
    return layers.Softmax()(layers.Dense(units)(x))


def _sequential(model: keras.Model) -> keras.Model:
    """Return a chain of layers as a Sequential model; any other model itself."""
    chain = [one for one in model.operations if not isinstance(one, layers.InputLayer)]
    is_chain = (
        len(model.inputs) == len(model.outputs) == 1
        and all(isinstance(one, keras.Layer) and len(one._inbound_nodes) == 1 for one in chain)
        and all(len(one._inbound_nodes[0].input_tensors) == 1 for one in chain)
        and all(len(one._outbound_nodes) <= 1 for one in model.operations)
    )
    return keras.Sequential([*model.inputs, *chain]) if is_chain else model
