"""The type of arrays of any shape and element type."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
