"""Keras' model graphs: the only package that touches private parts of Keras.

`walk` reads and runs the graph of a model, `inputs` and `axes` name its inputs and their open
axes, `masks` and `beside` know what tensors carry, and `names` finds classes by the names that
Keras gives. `policies` and `float8` know what layers compute in, and `keras2` has what Keras 2
computed.
"""

from kexport.keras_graph.beside import carry_over, logits_before
from kexport.keras_graph.float8 import (
    float8_biases,
    float8_by_arithmetic,
    rounded_to_bfloat16,
)
from kexport.keras_graph.inference import in_inference
from kexport.keras_graph.inputs import InputSpec, input_specs, required_arguments, structured
from kexport.keras_graph.keras2 import keras2_hard_sigmoid
from kexport.keras_graph.masks import (
    call_arguments,
    computes_mask,
    mask_of,
    passes_masks_on,
    set_mask,
)
from kexport.keras_graph.names import (
    function_name,
    has_default_name,
    import_private,
    legacy_name,
    outside_of_pipelines,
    private_name,
    snake_case,
    symbol,
    takes_mask_argument,
    takes_training,
)
from kexport.keras_graph.policies import computing_in_float32, is_quantized, without_lora
from kexport.keras_graph.walk import (
    Step,
    flatten_layers,
    has_nodes,
    is_functional,
    is_graph,
    nodes,
    operations,
    operations_between,
    parts,
    producer,
    readers,
    rerun,
)

__all__ = [
    "InputSpec",
    "Step",
    "call_arguments",
    "carry_over",
    "computes_mask",
    "computing_in_float32",
    "flatten_layers",
    "float8_biases",
    "float8_by_arithmetic",
    "function_name",
    "has_default_name",
    "has_nodes",
    "import_private",
    "in_inference",
    "input_specs",
    "is_functional",
    "is_graph",
    "is_quantized",
    "keras2_hard_sigmoid",
    "legacy_name",
    "logits_before",
    "mask_of",
    "nodes",
    "operations",
    "operations_between",
    "outside_of_pipelines",
    "parts",
    "passes_masks_on",
    "private_name",
    "producer",
    "readers",
    "required_arguments",
    "rerun",
    "rounded_to_bfloat16",
    "set_mask",
    "snake_case",
    "structured",
    "symbol",
    "takes_mask_argument",
    "takes_training",
    "without_lora",
]
