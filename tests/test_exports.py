"""The public names are frozen: adding or removing one is a decision, made here."""

from __future__ import annotations

import ast
from importlib.metadata import version
from pathlib import Path

import pytest

import pdum.nvenc
from pdum.nvenc import _nvenc

pytestmark = pytest.mark.one_abi

PUBLIC = [
    "Attempts",
    "BaseTask",
    "Cancelled",
    "Capabilities",
    "ClusterFailed",
    "Colour",
    "ContentLight",
    "CudaFailed",
    "DecodedFrame",
    "DecodedVideo",
    "Decoder",
    "DecoderClosed",
    "DecoderFailed",
    "Device",
    "DeviceLost",
    "Diagnosis",
    "DriverNotFound",
    "DriverTooOld",
    "EncodeSession",
    "EncoderClosed",
    "EncoderConfig",
    "EncoderFailed",
    "EncoderPool",
    "EngineInfo",
    "Event",
    "FileJob",
    "FileSettings",
    "FileTask",
    "FilmGrain",
    "Filters",
    "Finding",
    "FolderBusy",
    "FolderMissing",
    "InvalidConfig",
    "InvalidFrame",
    "Layers",
    "LiveEncoder",
    "LivePacket",
    "LiveStatistics",
    "MasteringDisplay",
    "Metadata",
    "MetricsServer",
    "MotionEstimator",
    "NoEncoder",
    "NoEngineLeft",
    "NvencEncoder",
    "NvencError",
    "OutOfMemory",
    "OutOfSessions",
    "Packet",
    "PictureOptions",
    "PictureStatistics",
    "PieceDamaged",
    "PieceSink",
    "Plan",
    "ReconstructedFrame",
    "References",
    "Region",
    "Result",
    "Run",
    "RunReport",
    "Sei",
    "SeveralErrors",
    "SoftwareEncoder",
    "SourceEnded",
    "SourceUnreadable",
    "StorageFailed",
    "StorageSettings",
    "StoredJob",
    "TargetOutOfReach",
    "Task",
    "TimeCode",
    "TimedOut",
    "UnsupportedFeature",
    "VerificationFailed",
    "VideoEncoder",
    "VideoWriter",
    "abi",
    "available",
    "capabilities",
    "decode",
    "devices",
    "doctor",
    "encode_frames",
    "nvtx_enabled",
    "unavailable_reason",
]
STUB = Path(pdum.nvenc.__file__).with_name("_nvenc.pyi")


def test_public_names_are_these() -> None:
    assert pdum.nvenc.__all__ == PUBLIC == sorted(PUBLIC)


def test_public_names_exist() -> None:
    assert [name for name in PUBLIC if not hasattr(pdum.nvenc, name)] == []


def test_public_names_are_documented() -> None:
    """Data have their docstring in the source. The interpreter only sees None."""
    documented = (getattr(pdum.nvenc, name) for name in PUBLIC if isinstance(getattr(pdum.nvenc, name), type))
    assert [thing.__name__ for thing in documented if not (thing.__doc__ or "").strip()] == []


def test_version_is_the_distributions() -> None:
    assert version("pdum-nvenc") == pdum.nvenc.__version__


def public(names: set[str]) -> set[str]:
    return {name for name in names if not name.startswith("_")}


def stubbed_names(body: list[ast.stmt]) -> set[str]:
    """What the statements of a stub declare: classes, functions, properties and data."""
    definitions = {node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    data = (node.target for node in body if isinstance(node, ast.AnnAssign))
    return public(definitions | {target.id for target in data if isinstance(target, ast.Name)})


def test_stub_names_what_the_native_module_has() -> None:
    tree = ast.parse(STUB.read_text())
    assert stubbed_names(tree.body) == public(set(vars(_nvenc)))
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            assert stubbed_names(node.body) == public(set(vars(getattr(_nvenc, node.name)))), node.name
