"""Parser and builder of TensorRT for RTX in a process of their own, which a model may crash."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

NO_PROFILE = "no optimization profile has been defined"


class Parser:
    """Answers for one file after another, with a new process after a crash."""

    def __init__(self) -> None:
        self._process = self._started()

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()

    def refusal(self, path: Path) -> str:
        """Return why a model is not parsed or not built; "" if it is, or only lacks a profile."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        answer = ""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{path}\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        if answer:
            return str(json.loads(answer))
        status = self._process.wait()
        self._process = self._started()
        return f"the process ended with {status}"

    def _started(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )


def serve() -> None:
    """Answer for each path on the standard input with a line of JSON."""
    import tensorrt_rtx as trt

    errors: list[str] = []

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                errors.append(message)

    logger = Logger()
    builder = trt.Builder(logger)
    for line in sys.stdin:
        errors.clear()
        network = builder.create_network(0)
        parser = trt.OnnxParser(network, logger)
        if not parser.parse(Path(line.strip()).read_bytes(), line.strip()):
            found = [parser.get_error(index) for index in range(parser.num_errors)]
            said = f"{found[0].node_operator()}: {found[0].desc()}" if found else "not parsed"
        elif any(-1 in network.get_input(i).shape for i in range(network.num_inputs)):
            said = ""
        else:
            config = builder.create_builder_config()
            config.num_compute_capabilities = 1
            # the newest, which computes in all types
            config.set_compute_capability(trt.ComputeCapability.SM120, 0)
            engine = builder.build_serialized_network(network, config)
            first = errors[0] if errors else "not built"
            said = "" if engine is not None or NO_PROFILE in first else first
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    serve()
