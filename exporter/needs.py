"""Lazy imports of heavy modules, with a hint how to install a missing one."""

import importlib
import os
from types import ModuleType

from kexport.errors import MissingDependency

ENVIRONMENT = {"onnxruntime": ("ORT_DISABLE_TELEMETRY", "1")}
"""Environment variables that modules read on import; a value that the user has set is kept."""


def need(module: str, *, extra: str | None = None) -> ModuleType:
    """Import and return `module`; nothing is ever installed.

    `extra` names the extra of kexport that brings the module, for the hint; without one the
    module belongs to a distribution of its own name. Raises MissingDependency if the module is
    not installed, or is installed and does not load.
    """
    if module in ENVIRONMENT:
        os.environ.setdefault(*ENVIRONMENT[module])
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or module
        if module != missing and not module.startswith(f"{missing}."):
            raise _does_not_load(module, error) from error
        package = missing.partition(".")[0]
        what = f"kexport[{extra}]" if extra else package.replace("_", "-")
        raise MissingDependency(
            f"this step needs {module}, which is not installed",
            hint=f"install it with: pip install '{what}'",
        ) from error
    except ImportError as error:
        raise _does_not_load(module, error) from error


def _does_not_load(module: str, error: ImportError) -> MissingDependency:
    return MissingDependency(
        f"{module} is installed, but does not load: {error}",
        hint="see what is missing with: kexport doctor",
    )
