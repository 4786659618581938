"""Calls of Keras on TensorFlow's tensors, which stand for those of the graph, with their masks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from kexport.conversion.builder import Graph
from kexport.conversion.tensor import Tensor
from kexport.conversion.tf2onnx_run import NotTranslated
from kexport.keras_graph import in_inference, mask_of, set_mask
from kexport.needs import need


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function of Keras in the graph."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    tensors: tuple[Tensor, ...]
    """Each tensor among the arguments once, then their masks."""
    masks: dict[int, int]
    """Which of `tensors` has a mask, and which one it is."""


@dataclass(frozen=True, slots=True)
class Results:
    """What a call returned. A tensor is a number: first the inputs are counted, then `new`."""

    new: list[Any]
    """Tensors that the call made: outputs, and masks of outputs."""
    structure: Any
    outputs: list[int]
    masks: dict[int, int | None]
    """The mask of each input and output after the call."""


def prepare(
    g: Graph, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Call:
    """List the tensors and masks of a call."""
    given = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, Tensor)]
    masked = {x: g.masks[x] for x in given if x in g.masks}
    tensors = tuple(dict.fromkeys([*given, *masked.values()]))
    place = {x: i for i, x in enumerate(tensors)}
    return Call(function, args, kwargs, tensors, {place[x]: place[m] for x, m in masked.items()})


def run(call: Call, values: Sequence[Any]) -> Results:
    """Make a call on TensorFlow's tensors `values`, one for each of `call.tensors`.

    The tensors get the masks, and layers run as in `Model.predict`. Where the call returns a
    variable, its value in the scope is meant.

    Raises:
        NotTranslated: an output is sparse or ragged.
    """
    by_tensor = dict(zip(call.tensors, values, strict=True))
    for masked, mask in call.masks.items():
        set_mask(values[masked], values[mask])
    args, kwargs = keras.tree.map_structure(
        lambda x: by_tensor[x] if isinstance(x, Tensor) else x, (call.args, call.kwargs)
    )
    with warnings.catch_warnings(), in_inference():
        warnings.filterwarnings("ignore", "(?s).*does not support masking")
        outputs = call.function(*args, **kwargs)
    _refuse_partial(outputs)
    outputs = keras.tree.map_structure(
        lambda y: keras.ops.convert_to_tensor(y) if isinstance(y, keras.Variable) else y, outputs
    )
    tensors = list(values)
    places = {id(x): i for i, x in enumerate(tensors)}

    def place(tensor: Any) -> int:
        if id(tensor) not in places:
            places[id(tensor)] = len(tensors)
            tensors.append(tensor)
        return places[id(tensor)]

    flat = [place(y) for y in keras.tree.flatten(outputs)]
    after = {i: mask_of(tensors[i]) for i in [*range(len(values)), *flat]}
    masks = {i: None if mask is None else place(mask) for i, mask in after.items()}
    structure = keras.tree.map_structure(lambda _: None, outputs)
    return Results(tensors[len(values) :], structure, flat, masks)


def _refuse_partial(outputs: Any) -> None:
    tf = need("tensorflow")
    if any(isinstance(y, tf.__internal__.CompositeTensor) for y in keras.tree.flatten(outputs)):
        raise NotTranslated(
            "its output is a sparse or ragged tensor, which ONNX has not",
            "build it with sparse=False or ragged=False",
        )


def resolve(g: Graph, call: Call, results: Results, new: Sequence[Tensor]) -> Any:
    """Return the outputs as tensors of the graph, and take over the masks.

    An output that is an input to Keras is that very tensor here too.
    """
    tensors = [*call.tensors, *new]
    for i, mask in results.masks.items():
        if mask is None:
            g.masks.pop(tensors[i], None)
        else:
            g.masks[tensors[i]] = tensors[mask]
    outputs = [tensors[i] for i in results.outputs]
    return keras.tree.pack_sequence_as(results.structure, outputs)
