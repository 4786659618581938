"""The table of ONNX Runtime's functions, which the runtime declares itself, is Microsoft's."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from cpp_builds import need

COMPARE = """
#include <onnxruntime_c_api.h>

#include <type_traits>

#include "src/ort_api.hpp"

using kexport::OrtElement;

// what the runtime writes for a type: int for an enumeration, its own one for element types
template <class T> struct written {{
    using type = std::conditional_t<std::is_enum_v<T>, int, T>;
}};
template <> struct written<ONNXTensorElementDataType> {{ using type = OrtElement; }};
template <> struct written<ONNXTensorElementDataType*> {{ using type = OrtElement*; }};
template <class T> struct own;
template <class R, class... A> struct own<R (*)(A...) noexcept> {{
    using type = R (*)(typename written<A>::type...) noexcept;
}};
template <class R, class... A> struct own<R (*)(A...)> {{
    using type = R (*)(typename written<A>::type...);
}};

#define SAME(name) \\
    static_assert(offsetof(::OrtApi, name) == offsetof(kexport::OrtApi, name)); \\
    static_assert(std::is_same_v<own<decltype(::OrtApi::name)>::type, \\
                                 decltype(kexport::OrtApi::name)>);
{functions}
static_assert(offsetof(::OrtApi, AddExternalInitializers) == sizeof(kexport::OrtApi));
static_assert(offsetof(::OrtApiBase, GetApi) == offsetof(kexport::OrtApiBase, GetApi));
static_assert(offsetof(::OrtApiBase, GetVersionString) ==
              offsetof(kexport::OrtApiBase, GetVersionString));
static_assert(sizeof(ONNXTensorElementDataType) == sizeof(OrtElement));
static_assert(kexport::ort_logs_errors == ORT_LOGGING_LEVEL_ERROR);
static_assert(kexport::ort_arena_allocator == OrtArenaAllocator);
static_assert(kexport::ort_default_memory == OrtMemTypeDefault);
{elements}
"""
ELEMENTS = {
    "undefined": "UNDEFINED",
    "float32": "FLOAT",
    "uint8": "UINT8",
    "int8": "INT8",
    "uint16": "UINT16",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "boolean": "BOOL",
    "float16": "FLOAT16",
    "float64": "DOUBLE",
    "uint32": "UINT32",
    "uint64": "UINT64",
}


@pytest.fixture
def header(packages: Path) -> Path:
    """Return the folder of Microsoft's header; skip the test if there is none."""
    for folder in (packages / "headers" / "usr" / "include", Path("/usr/include")):
        if (folder / "onnxruntime" / "onnxruntime_c_api.h").is_file():
            return folder / "onnxruntime"
    pytest.skip("onnxruntime_c_api.h is not installed; .ci/packages installs it on Debian")


@pytest.mark.parametrize("fault", [None, "SetIntraOpNumThreads", "from_131"])
def test_the_functions_are_those_of_the_header(
    sources: Path, header: Path, tmp_path: Path, fault: str | None
) -> None:
    """Places, arguments and results, also in C++'s types; with a fault the compiler refuses."""
    need("g++")
    text = (sources / "src" / "ort_api.hpp").read_text("utf-8")
    functions = re.findall(r"\(\*((?!Get(?:Api|VersionString)\b)[A-Z]\w+)\)\(", text)
    assert len(functions) == 38
    if fault == "from_131":
        text = text.replace("from_131[73]", "from_131[72]").replace("from_209[1]", "from_209[2]")
    elif fault is not None:
        text = text.replace("OrtSessionOptions*, int threads", "OrtSessionOptions*, long threads")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "ort_api.hpp").write_text(text, encoding="utf-8")
    program = COMPARE.format(
        functions="\n".join(f"SAME({name})" for name in functions),
        elements="\n".join(
            f"static_assert(int(OrtElement::{own}) == ONNX_TENSOR_ELEMENT_DATA_TYPE_{name});"
            for own, name in ELEMENTS.items()
        ),
    )
    (tmp_path / "compare.cpp").write_text(program, encoding="utf-8")
    command = ["g++", "-std=c++17", "-fsyntax-only", "-Wno-invalid-offsetof"]
    command += ["-isystem", str(header), "-I", str(tmp_path), str(tmp_path / "compare.cpp")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode == 0) == (fault is None), done.stderr
    assert fault is None or "static assertion failed" in done.stderr
