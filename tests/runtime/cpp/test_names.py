"""The C++ runtime mirrors the Python runtime: a source file for each module, of the same name."""

from __future__ import annotations

from pathlib import Path

import kexport.runtime

RUNTIME = Path(kexport.runtime.__file__).parent

PYTHON_ONLY = {
    "__init__": "kexport.hpp is the public interface of the C++ runtime",
    "answers": "the command lines are in programs/",
    "build_cli": "engines are built by Python or trtexec",
    "build_engine": "engines are built by Python or trtexec",
    "build_plan": "engines are built by Python or trtexec",
    "cli": "the command lines are in programs/",
    "draw": "boxes are drawn in programs/",
    "jpeg": "programs/decode_jpeg.cpp asks libjpeg for what NumPy computes here",
    "npz": "files are written in programs/",
    "optimization_profile": "engines are built by Python or trtexec",
    "run": "the command lines are in programs/",
    "sample_files": "the command lines are in programs/",
    "samples": "run() takes the tensors of several inputs",
    "save": "files are written in programs/",
    "sources": "the command lines are in programs/",
    "video": "a program opens its own camera",
    "terminal": "printable() is in text.cpp, beside the UTF-8 decoder that it needs",
}
CPP_ONLY = {
    "array": "NumPy's arrays",
    "binding_cache": "Python binds nothing: ONNX Runtime's module copies arrays",
    "files": "Python's pathlib",
    "ort_api": "Python's import of onnxruntime",
    "ort_binding": "Python binds nothing: ONNX Runtime's module copies arrays",
    "ort_library": "Python's import of onnxruntime",
    "ort_tensors": "onnxruntime's own conversion from and to NumPy",
    "pool": "the thread safety that Python's sessions have",
    "tensor": "NumPy's dtypes",
    "text": "Python's str",
}


def test_every_module_has_a_source_of_the_same_name() -> None:
    python = {path.stem for path in RUNTIME.glob("*.py")}
    cpp = {path.stem for path in (RUNTIME / "cpp" / "src").glob("*.?pp")}
    assert python & set(PYTHON_ONLY) == set(PYTHON_ONLY)
    assert cpp & set(CPP_ONLY) == set(CPP_ONLY)
    assert cpp - set(CPP_ONLY) == python - set(PYTHON_ONLY)


def test_cmake_compiles_every_source() -> None:
    listed = (RUNTIME / "cpp" / "CMakeLists.txt").read_text(encoding="utf-8")
    sources = {path.name for path in (RUNTIME / "cpp" / "src").glob("*.cpp")}
    assert {name for name in sources if f"src/{name}" not in listed} == set()
