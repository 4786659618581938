"""Keras' model graphs: the only package that touches private parts of Keras.

`walk` reads and runs the graph of a model, `inputs` names its inputs, `names` finds classes by the
names that Keras gives them, and `beside` knows what Keras keeps beside a tensor.
"""

from kexport.keras_graph.beside import carry_over, logits_before
from kexport.keras_graph.inputs import InputSpec, input_specs, structured
from kexport.keras_graph.names import (
    import_private,
    legacy_name,
    private_name,
    symbol,
    takes_training,
)
from kexport.keras_graph.walk import (
    Step,
    flatten_layers,
    is_functional,
    is_graph,
    nodes,
    operations,
    producer,
    readers,
    rerun,
)

__all__ = [
    "InputSpec",
    "Step",
    "carry_over",
    "flatten_layers",
    "import_private",
    "input_specs",
    "is_functional",
    "is_graph",
    "legacy_name",
    "logits_before",
    "nodes",
    "operations",
    "private_name",
    "producer",
    "readers",
    "rerun",
    "structured",
    "symbol",
    "takes_training",
]
