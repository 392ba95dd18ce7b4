"""A file of ONNX: what it must be to be run, and the session that runs it.

ONNX is data: a graph of operators that the library has. What could reach beyond the
file is refused: weights that lie in other files, and operators of other libraries.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from unet_engine.errors import CheckpointError, EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
"""Of operators that onnxruntime brings along."""


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise EngineError(
            f"networks of other programs need another library ({error}); "
            "pip install 'napari-unet-finetune[bioimageio]'"
        ) from error


def read_onnx(content: bytes, external: bytes | None = None) -> bytes:
    """Check a file of ONNX, and return it with all its weights in it.

    Parameters
    ----------
    content
        Of the file.
    external
        Of the one other file that its weights may lie in.

    Raises
    ------
    CheckpointError
        When it is damaged, names other files, or has operators of other libraries.
    EngineError
        When the library for it is not installed.
    """
    onnx = _library("onnx")
    try:
        model = onnx.load_model_from_string(content)
        for graph in _graphs(model):
            for tensor in _tensors(graph, onnx):
                _take_in(tensor, external, onnx)
            strange = [n for n in graph.node if n.domain not in _DOMAINS]
            if strange:
                raise CheckpointError(
                    f"the ONNX file has the operator {strange[0].op_type!r} of another "
                    f"library ({strange[0].domain}), which is not run"
                )
        return content if external is None else bytes(model.SerializeToString())
    except CheckpointError:
        raise
    except Exception as error:
        # The parser of the protocol raises errors of its own.
        raise CheckpointError(
            f"the ONNX file is damaged ({' '.join(str(error).split())[:150]}); get it "
            "again"
        ) from error


def _graphs(model: Any) -> Iterator[Any]:
    """Yield the graph, those of branches and loops in it, and the functions."""
    waiting = [model.graph, *model.functions]
    while waiting:
        graph = waiting.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    waiting.append(attribute.g)
                waiting += attribute.graphs


def _tensors(graph: Any, onnx: Any) -> Iterator[Any]:
    if isinstance(graph, onnx.GraphProto):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)


def _take_in(tensor: Any, external: bytes | None, onnx: Any) -> None:
    """Put weights that lie in the other file into their tensor."""
    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        return
    if external is None:
        raise CheckpointError(
            "the ONNX file names other files for its weights, which are not read; ask "
            "its author for one file"
        )
    place = {entry.key: entry.value for entry in tensor.external_data}
    start = int(place.get("offset", 0))
    stop = start + int(place.get("length", len(external) - start))
    if not 0 <= start <= stop <= len(external):
        raise CheckpointError("the file of the weights of the ONNX file is cut off")
    tensor.raw_data = external[start:stop]
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]


def open_session(content: bytes, device: str, threads: int) -> Any:
    """Return an ``InferenceSession`` of a file that ``read_onnx`` returned.

    Parameters
    ----------
    content
        Of the file.
    device
        ``"cpu"``, or ``"cuda"`` where the library was built with it.
    threads
        Of the CPU.

    Raises
    ------
    CheckpointError
        When the library cannot run it.
    EngineError
        When the library is not installed.
    """
    runtime = _library("onnxruntime")
    read_onnx(content)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    # What is refused becomes one line of ours.
    options.log_severity_level = 4
    # Another format, which is not checked here, would be recognised by its first bytes.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return runtime.InferenceSession(
            content, options, providers=providers_for(device)
        )
    except Exception as error:
        raise CheckpointError(
            f"onnxruntime cannot run it ({' '.join(str(error).split())[:200]}); update "
            "onnxruntime, or ask its author"
        ) from error


def providers_for(device: str) -> list[str]:
    """Return what onnxruntime computes with on a device, the CPU last."""
    there = _library("onnxruntime").get_available_providers()
    cuda = "CUDAExecutionProvider"
    cpu = "CPUExecutionProvider"
    return [cuda, cpu] if device == "cuda" and cuda in there else [cpu]
