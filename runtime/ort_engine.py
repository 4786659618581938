"""ONNX Runtime engine: runs a bundle's model.onnx."""

from __future__ import annotations

import io
import os
import warnings
from contextlib import redirect_stdout
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import BadInput, BundleRefused, EngineMissing
from .inputs import described
from .manifest import MODEL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from .manifest import InputSpec, Manifest, OutputSpec

_CPU = ("CPUExecutionProvider",)

PROVIDERS = {"cuda": ("CUDAExecutionProvider", *_CPU)}
"""Device -> ONNX Runtime's execution providers, best first; other devices run on the CPU.

TensorRT bundles run on the CPU too, as the reference for the engine that the device builds.
"""

_FP32_OPTIONS = {"CUDAExecutionProvider": {"use_tf32": "0"}}
"""Options of providers for fp32 bundles. By default, GPUs from Ampere on multiply float32 with
mantissas of 10 bits (TensorFloat-32), and the outputs are not those of float32: on an H200,
MobileNetV2's logits were off by 0.006 of their spread, and by 2e-6 with this option."""

_OPTIONS_FROM = (1, 18)
"""The first release of ONNX Runtime that knows these options; earlier ones refuse them."""

_PACKAGES = {"cuda": "onnxruntime-gpu"}
_ERRORS_ONLY = 3
_KEEP_QDQ = ("session.disable_quant_qdq", "1")
LEFT_OUT = (
    "optimization.disable_specified_optimizers",
    "FuseFp16InitializerToFp32NodeTransformer",
)
"""An optimisation that ends the process in ONNX Runtime 1.32 where a MatMul with float16 weights
reads a Transpose, as behind a recurrent layer; it only concerns float16 on CPUs."""
_NO_TELEMETRY = ("ORT_DISABLE_TELEMETRY", "1")
"""Environment variable that ONNX Runtime reads when it is imported ("Disabling Telemetry" in its
Privacy.md). Without it, the wheels send usage data, and keep a database in the home folder of the
device."""

_TYPES = {"float": "float32", "double": "float64"}


class OrtEngine:
    """A session of ONNX Runtime for model.onnx, with the default graph optimisations.

    `name` names library and provider, for example "onnxruntime 1.31.1, CPUExecutionProvider".
    """

    def __init__(self, bundle: Path, manifest: Manifest, threads: int | None = None) -> None:
        """Load `<bundle>/model.onnx` for the manifest's device.

        `threads` is the number of threads within an operation. A RuntimeWarning says that the
        device's own provider did not load, so that the model runs on the CPU. Raises EngineMissing
        without onnxruntime, BundleRefused for a model that does not load or whose inputs and
        outputs differ from the manifest's.
        """
        ort = _onnxruntime(manifest.device)
        wanted = PROVIDERS.get(manifest.device, _CPU)
        usable = [name for name in wanted if name in ort.get_available_providers()]
        if wanted[0] in usable and wanted != _CPU:
            preload(ort)
        options = ort.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        options.add_session_config_entry(*LEFT_OUT)
        if manifest.half_scales:
            options.add_session_config_entry(*_KEEP_QDQ)
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self._session = ort.InferenceSession(
                str(bundle / MODEL),
                sess_options=options,
                providers=usable,
                provider_options=[_options(ort, name, manifest) for name in usable],
            )
        except Exception as error:  # onnxruntime's errors share no base class
            raise BundleRefused(
                f"onnxruntime {ort.__version__} cannot load {bundle / MODEL}: {_first_line(error)}",
                hint="copy the bundle again whole, or upgrade onnxruntime",
            ) from error
        _check_tensors("input", self._session.get_inputs(), manifest.inputs)
        _check_tensors("output", self._session.get_outputs(), manifest.outputs)
        self._outputs = [spec.name for spec in manifest.outputs]
        loaded = self._session.get_providers()
        self.name = f"onnxruntime {ort.__version__}, {loaded[0]}"
        if wanted[0] not in loaded:
            warnings.warn(
                f"{wanted[0]} did not load, so {manifest.model} runs on {loaded[0]}; install "
                f"{_PACKAGES[manifest.device]} and the CUDA and cuDNN that it needs",
                RuntimeWarning,
                stacklevel=4,
            )

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the model and return the outputs by name.

        Raises BadInput if ONNX Runtime fails on these arrays.
        """
        try:
            results = self._session.run(self._outputs, dict(feeds))
        except Exception as error:  # onnxruntime's errors share no base class
            given = ", ".join(described(array.dtype, array.shape) for array in feeds.values())
            raise BadInput(
                f"onnxruntime failed on {given}: {_first_line(error)}",
                hint="check the sizes of free dimensions, and that there is enough memory",
            ) from error
        return {name: results[index] for index, name in enumerate(self._outputs)}


def _options(ort: Any, provider: str, manifest: Manifest) -> dict[str, str]:
    release = tuple(int(part) for part in ort.__version__.split(".")[:2])
    if manifest.data["target"]["precision"] != "fp32" or release < _OPTIONS_FROM:
        return {}
    return _FP32_OPTIONS.get(provider, {})


def preload(ort: Any) -> str:
    """Load CUDA and cuDNN from their Python wheels, if ONNX Runtime can (from 1.21 on).

    Otherwise only libraries on the dynamic linker's path are found. Returns what ONNX Runtime
    prints about libraries that do not load.
    """
    said = io.StringIO()
    if hasattr(ort, "preload_dlls"):
        with redirect_stdout(said):
            ort.preload_dlls()
    return said.getvalue()


def _onnxruntime(device: str) -> Any:
    os.environ.setdefault(*_NO_TELEMETRY)
    try:
        return import_module("onnxruntime")
    except ImportError as error:
        raise EngineMissing(
            f"onnxruntime is needed to run this bundle: {error}",
            hint=f"run: pip install {_PACKAGES.get(device, 'onnxruntime')}",
        ) from error


def _check_tensors(
    role: str, found: Sequence[Any], specs: Sequence[InputSpec] | Sequence[OutputSpec]
) -> None:
    tensors = {tensor.name: tensor for tensor in found}
    extra = [name for name in tensors if name not in {spec.name for spec in specs}]
    if role == "input" and extra:
        raise BundleRefused(f"{MODEL} has an input {extra[0]!r} that the manifest does not list")
    for spec in specs:
        if spec.name not in tensors:
            raise BundleRefused(f"{MODEL} has no {role} {spec.name!r}, which the manifest lists")
        tensor = tensors[spec.name]
        kind = tensor.type.replace("tensor(", "").rstrip(")")
        dtype = _TYPES.get(kind, kind)
        shape = [size if isinstance(size, int) else None for size in tensor.shape]
        if dtype != spec.dtype or not _same_shape(shape, spec.shape):
            raise BundleRefused(
                f"{role} {spec.name!r} of {MODEL} is {described(dtype, shape)}, and the manifest "
                f"says {described(spec.dtype, spec.shape)}"
            )


def _same_shape(found: Sequence[int | None], stated: Sequence[int | None]) -> bool:
    return len(found) == len(stated) and all(
        size is None or stated[axis] is None or size == stated[axis]
        for axis, size in enumerate(found)
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
