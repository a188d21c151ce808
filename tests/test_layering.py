"""The layers of the code, checked by reading it: no compiler, no GPU, no installed package.

python → decoder → session → abi → colour → cuda → core; in Python, downwards to _nvenc.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

pytestmark = pytest.mark.one_abi

ROOT = Path(__file__).resolve().parents[1]
CPP = ROOT / "src" / "cpp"
PYTHON = ROOT / "src" / "pdum"

# Folders are the layers, from the bottom up. A unit may know the layers below its own, and the units before it in the
# order that ORDER gives, so that no layer holds a circle.
LAYERS = ("core", "cuda", "colour", "abi", "session", "decoder", "python")
ORDER = {
    "core": ("error", "nvtx", "process", "turnstile", "failures"),
    "cuda": ("cuda_types", "driver", "memory_kind", "cuda", "gpus"),
    "colour": ("packed_text", "colour_kernels", "colour_plan", "colour"),
    "session": (
        "frame_view",
        "open_encoder",
        "gpu_limits",
        "probe",
        "frame_checks",
        "frame_copy",
        "rgb_input",
        "stream_order",
        "surface_lease",
        "inputs",
        "output_queue",
        "picture_maps",
        "picture_hints",
        "reconstructions",
        "delivery",
        "driver_session",
        "reference_history",
        "motion_search",
        "view_joiner",
        "session",
        "session_frames",
        "session_views",
        "session_lifecycle",
        "session_grain",
        "session_references",
        "session_ahead",
        "session_attempts",
        "session_alpha",
    ),
    "decoder": (
        "bit_reader",
        "nal_units",
        "parameter_sets",
        "references",
        "h264_headers",
        "h264_references",
        "hevc_headers",
        "hevc_references",
        "decode_support",
        "chip",
        "frame_lease",
        "video",
    ),
    "python": (
        "dlpack",
        "array_layout",
        "python_objects",
        "bound_object",
        "held_stream",
        "arguments",
        "frame_answers",
        "frame_spec",
        "stream_from_python",
        "cuda_array_interface",
        "dlpack_frame",
        "exported_array",
        "decoded_frame",
        "decoder_binding",
        "yuv_frame",
        "rgb_frame",
        "pyav_frame",
        "borrowed_frame",
        "settings_from_python",
        "borrowed_map",
        "frames_in_flight",
        "registration_owners",
        "statistics_binding",
        "reconstructed_frame",
        "packet_binding",
        "colour_binding",
        "gpus_binding",
        "profiling_binding",
        "context_binding",
        "surface_binding",
        "encoder",
        "encoder_attempts",
        "encoder_pairs",
        "encoder_binding",
        "motion_binding",
        "bindings",
    ),
}
PYTHON_LAYERS = (
    "_nvenc",
    "_profiling",
    "_version",
    "_distributions",
    "_errors",
    "_event_values",
    "events",
    "_text",
    "_hosts",
    "_whole_file",
    "_config.settings",
    "_config.targets",
    "_config.choices",
    "_config.toml",
    "_config.colour",
    "_config.values",
    "_config.hdr",
    "_config.film_grain",
    "_config.interlacing",
    "_config.second_layer",
    "_config.alpha",
    "_config.stereo",
    "_config.regions",
    "_config.motion_hints",
    "_config.attempts",
    "_config.references",
    "_config.picture_type",
    "_config.picture",
    "_config.quality_scale",
    "_config.coding",
    "_config.layers",
    "_config.rates",
    "_config.native_settings",
    "_config.outputs",
    "_config.plain",
    "_config.rules",
    "_config.filter_text",
    "_config.filter_words",
    "_config.filters",
    "_config.encoder_fields",
    "_config.config",
    "_config.live_changes",
    "_old_names",
    "_results",
    "_tasks",
    "_encoders.arguments",
    "_encoders.attempts",
    "_encoders.aio",
    "_encoders.nvenc",
    "_encoders.motion",
    "_encoders.bitstreams",
    "_encoders.pixel_formats",
    "_encoders.frame_layout",
    "_encoders.host_frames",
    "_encoders.software_tools",
    "_encoders.software_options",
    "_encoders.software_codec",
    "_encoders.software_frames",
    "_encoders.software",
    "_mp4.bits",
    "_mp4.stream_description",
    "_mp4.vui",
    "_mp4.h264",
    "_mp4.hevc_units",
    "_mp4.hevc",
    "_mp4.hevc_layers",
    "_mp4.av1",
    "_mp4.codec_string",
    "_encoders.notices",
    "_encoders.opening",
    "_mp4.boxes",
    "_mp4.tracks",
    "_mp4.hdr_messages",
    "_mp4.sample_entry",
    "_mp4.coded_frames",
    "_mp4.sample_table",
    "_mp4.track_header",
    "_mp4.track_input",
    "_mp4.movie",
    "_mp4.fragment",
    "_mp4.fragments",
    "_mp4.movie_index",
    "_mp4.fragment_index",
    "_mp4.recording",
    "_mp4.mp4_file",
    "_mp4.movie_reader",
    "_mp4.fragment_reader",
    "_mp4.repair",
    "mp4",
    "_machine.availability",
    "_machine.capabilities",
    "_machine.node_capabilities",
    "_machine.nvml",
    "_machine.devices",
    "_machine.finding",
    "_machine.video_files",
    "_machine.doctor",
    "_live.packet",
    "_live.statistics",
    "_live.losses",
    "_live.bitrate",
    "_live.settings",
    "_live.pacing",
    "_live.exchange",
    "_live.frames",
    "_live.current_encoder",
    "_live.packet_stream",
    "_live.offered_frames",
    "_live.live_encoder",
    "_storage.address",
    "_files.job",
    "_view.guarded_stream",
    "_view.run_parts",
    "_view.names",
    "_view.job_lists",
    "_view.run_state",
    "_view.settings_line",
    "_view.event_reading",
    "_view.draw",
    "_metrics.text",
    "_metrics.run_metrics",
    "_metrics.server",
    "_report.markup",
    "_report.style",
    "_report.charts",
    "_report.report",
    "_report.table",
    "_media.av",
    "_media.containers",
    "_media.disk_errors",
    "_media.spool",
    "_media.mux",
    "_media.alpha_plane",
    "_media.stream_headers",
    "_media.packet_decoder",
    "_media.alpha_layer",
    "_media.alpha_check",
    "_media.look",
    "_media.background",
    "_media.sample",
    "_media.decoder",
    "_media.gpu_decoder",
    "_media.idle_decoders",
    "_media.packet_list",
    "_media.riff",
    "_media.movie_tables",
    "_media.source",
    "_media.stretches",
    "_media.decode",
    "_media.decoder_places",
    "_media.frames_ahead",
    "_media.further_decoders",
    "_media.hardware_decode",
    "_media.frame_conversion",
    "_media.matroska",
    "_media.span",
    "_media.frame_selection",
    "_media.filter_chain",
    "_media.filter_graph",
    "_media.black_bars",
    "_media.spread_frames",
    "_media.telecine",
    "_media.settled_filters",
    "_media.filtered_video",
    "_media.subtitles",
    "_media.audio",
    "_media.passthrough",
    "_media.other_streams",
    "_media.rehearsal",
    "_media.join",
    "_media.verify",
    "_storage.settings",
    "_storage.path_mapping",
    "_storage.checksums",
    "_storage.part_file",
    "_storage.file_systems",
    "_storage.remote_file",
    "_storage.listing",
    "_storage.fetching",
    "_storage.publishing",
    "_storage.spool_folder",
    "_storage.shared_copy",
    "_pool.interruptible",
    "_pool.ranges",
    "_pool.job",
    "_pool.totals",
    "_pool.pieces",
    "_pool.schedule",
    "_pool.job_queue",
    "_pool.job_states",
    "_pool.engine_set",
    "_pool.job_kinds",
    "_pool.scheduler",
    "_pool.channel",
    "_pool.event_log",
    "_pool.callbacks",
    "_pool.leases",
    "_pool.sessions",
    "_pool.engines",
    "_pool.supply",
    "_pool.lane_scheduler",
    "_pool.feeder",
    "_pool.lane_session",
    "_pool.lane",
    "_pool.lane_view",
    "_pool.helpers",
    "_pool.progress",
    "_pool.monitor",
    "_pool.run",
    "_pool.generated",
    "_writer.engine_lane",
    "_writer.packet_order",
    "_writer.all_engines",
    "_writer.statistics",
    "_writer.settings",
    "_writer.bounded_queue",
    "_writer.times",
    "_writer.frame_encoder",
    "_writer.opening",
    "_writer.frame_copies",
    "_writer.packet_thread",
    "_writer.encoding_thread",
    "_writer.sound",
    "_writer.targets",
    "_writer.containers",
    "_writer.interleaving",
    "_writer.output",
    "_writer.pipeline",
    "_writer.layout_checks",
    "_writer.views",
    "_writer.opencv",
    "_writer.writer",
    "_writer.one_liner",
    "_files.overwrite",
    "_files.commit",
    "_files.ranges",
    "_files.transparency",
    "_files.encoder_config",
    "_files.recipes",
    "_files.source_files",
    "_files.engine_frames",
    "_files.right_view",
    "_files.source_task",
    "_files.portable_file",
    "_files.task",
    "_files.search",
    "_files.scores",
    "_files.quality_choice",
    "_files.samples",
    "_files.searching_task",
    "_files.preview_task",
    "_files.wrapped_task",
    "_files.portable_stored",
    "_files.stored_job",
    "_files.stored_task",
    "_cluster.orders",
    "_cluster.seam",
    "_cluster.granted_range",
    "_cluster.worker_task",
    "_cluster.worker_scheduler",
    "_cluster.assigned_engine",
    "_cluster.machine_engines",
    "_cluster.order_runner",
    "_cluster.given_order",
    "_cluster.remote_lane",
    "_cluster.dispatcher",
    "_cluster.cluster_engines",
    "_cluster.address",
    "_cluster.tls",
    "_cluster.dask_worker",
    "_cluster.dask_signals",
    "_cluster.dask_settings",
    "_cluster.dask_client",
    "_cluster.dask_nodes",
    "_cluster.opening",
    "_pool.pool",
    "_batch.settings",
    "_batch.layers",
    "_batch.journal_entry",
    "_batch.compaction",
    "_batch.journal_file",
    "_batch.journal",
    "_batch.known_journals",
    "_batch.scan_progress",
    "_batch.scan",
    "_batch.destinations",
    "_batch.supported_settings",
    "_batch.settings_digest",
    "_batch.decisions",
    "_batch.batch",
    "_batch.stored_batch",
    "_batch.ledger",
    "_batch.journalled_task",
    "_batch.stable_files",
    "_batch.watched_folder",
    "__init__",
    "integrations.imageio",
    "integrations.gymnasium",
    "_selftest.probe",
    "_selftest.interface",
    "_selftest.cuda",
    "_selftest.driver",
    "_selftest.pictures",
    "_selftest.bench",
    "_selftest.dumps",
    "_selftest.memory",
    "_selftest.ordering",
    "_selftest.outputs",
    "_selftest.structure",
    "_selftest.live",
    "_selftest.engines",
    "_selftest.takes",
    "_selftest.controls",
    "_selftest.tool_controls",
    "_selftest.second_layer",
    "_selftest.two_views",
    "_selftest.alpha_beside",
    "_selftest.beyond_packets",
    "_selftest.questions",
    "_selftest.child",
    "_selftest.runner",
    "_selftest.report",
    "_tui",
    "_web",
    "_cli",
    "__main__",
)
FRONT_ENDS = ("_tui", "_web", "_cli")
PACKAGES = (
    "_cluster",
    "_config",
    "_encoders",
    "_live",
    "_mp4",
    "_machine",
    "_media",
    "_pool",
    "_storage",
    "_writer",
    "_files",
    "_batch",
    "_view",
    "_metrics",
    "_report",
    "_selftest",
    "integrations",
)
FACE = Path("_pool/pool.py")
"""Brings pools, files and clusters together, so it uses packages above its own."""
HEADERS_OF_THE_TABLES = {
    "nvenc_12_1.hpp": ["session_12_1.cpp"],
    "nvenc_13_0.hpp": ["session_13_0.cpp"],
    "nvenc_13_1.hpp": ["session_13_1.cpp"],
    "nvcuvid_13_0.hpp": ["decode_api.cpp", "picture_surfaces.cpp"],
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
STRING_OR_COMMENT = re.compile(r"""("(?:\\.|[^"\\\n])*")|//[^\n]*|/\*.*?\*/""", re.DOTALL)


def cpp_files() -> list[Path]:
    return sorted(path for path in CPP.rglob("*") if path.suffix in {".hpp", ".cpp", ".inl"})


def shipped_files() -> list[Path]:
    return sorted(path for path in (ROOT / "src").rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def unit_of(path: Path) -> str:
    """Its folder and its name. All of ``abi`` is one unit."""
    layer, name = path.relative_to(CPP).parts
    stem = name.partition(".")[0]
    return "abi" if layer == "abi" else f"{layer}/{stem}"


def rank(unit: str) -> tuple[int, int]:
    layer, _, stem = unit.partition("/")
    return LAYERS.index(layer), ORDER[layer].index(stem) if stem else 0


def includes(path: Path) -> list[tuple[str, str]]:
    """Pairs of the quote (`<` or a double one) and the file named."""
    return INCLUDE.findall(path.read_text())


def code_of(path: Path) -> str:
    """The file without its comments and the text of its strings."""
    return STRING_OR_COMMENT.sub(lambda match: '""' if match[1] else "", path.read_text())


def test_there_is_code_to_look_at() -> None:
    assert {unit_of(path) for path in cpp_files()} >= {"core/error", "abi", "session/session", "python/bindings"}


def test_each_unit_has_its_place() -> None:
    ordered = {f"{layer}/{stem}" for layer, stems in ORDER.items() for stem in stems}
    assert {unit_of(path) for path in cpp_files()} == {*ordered, "abi"}


@pytest.mark.parametrize("path", cpp_files(), ids=lambda path: str(path.relative_to(CPP)))
def test_includes_point_downwards(path: Path) -> None:
    unit = unit_of(path)
    for quote, name in includes(path):
        if quote == "<" or name in HEADERS_OF_THE_TABLES:
            continue
        assert (CPP / name).is_file(), f"{name}: written from src/cpp, of a file that is there"
        wanted = unit_of(CPP / name)
        assert wanted == unit or rank(wanted) < rank(unit), f"{unit} may not know {wanted}"


def test_only_python_facing_units_know_python() -> None:
    knowing = {
        unit_of(path)
        for path in cpp_files()
        if any(name == "Python.h" or name.startswith("pybind11/") for _, name in includes(path))
        or re.search(r"\bpybind11\b|\bPyObject\b|\bPy[A-Z]\w+\s*\(", code_of(path))
    }
    assert {unit.partition("/")[0] for unit in knowing} == {"python"}


def test_one_class_lets_go_of_the_gil() -> None:
    """pybind11's own way ends the process if a daemon thread meets the end of the interpreter."""
    ways = r"\bgil_scoped_\w+|\brelease_gil_before_calling_cpp_dtor\b|\bPyEval_(?:Save|Restore)Thread\b"
    users = {unit_of(path) for path in cpp_files() if re.search(ways, code_of(path))}
    assert users == {"python/python_objects"}


def test_only_abi_knows_names_of_nvenc() -> None:
    """Messages may name statuses, since those are strings."""
    knowing = {unit_of(path) for path in cpp_files() if re.search(r"\bNV_ENC|\bNVENCAPI_", code_of(path))}
    assert knowing == {"abi"}


def test_only_abi_knows_names_of_nvcuvid() -> None:
    """The names of its functions are known to the one who looks them up, too."""
    knowing = {unit_of(path) for path in cpp_files() if re.search(r"\bCUVID|\bcuvid|\bcudaVideo", code_of(path))}
    assert knowing == {"abi", "cuda/driver"}


def test_each_table_is_included_by_its_own_units() -> None:
    """No header includes one, so NVIDIA's types stay in the units that are made for them."""
    users = {(name, path.name) for path in cpp_files() for _, name in includes(path) if name in HEADERS_OF_THE_TABLES}
    assert users == {(name, unit) for name, units in HEADERS_OF_THE_TABLES.items() for unit in units}


def test_only_driver_opens_libraries() -> None:
    knowing = {path.name for path in cpp_files() if re.search(r"dlfcn\.h|\bdl(open|sym|close|error)\b", code_of(path))}
    assert knowing == {"driver.cpp"}


def test_nothing_of_nvidia_is_included_but_nvtx() -> None:
    foreign = re.compile(r"cuda\.h$|cuda_runtime|nvEncodeAPI|dynlink|cuviddec|nvml\.h", re.IGNORECASE)
    for path in cpp_files():
        assert not [name for _, name in includes(path) if foreign.search(name)], path.name
    assert {path.name for path in cpp_files() if any("nvtx" in name for q, name in includes(path) if q == "<")} == {
        "nvtx.hpp"
    }


def test_no_condition_on_a_version() -> None:
    """Differences between interface versions are in the units of abi/ only, and only the build selects them."""
    for path in cpp_files():
        conditions = re.findall(r"^\s*#\s*(?:el)?if(?:n?def)?\b(.*)$", code_of(path), re.MULTILINE)
        assert {condition.strip() for condition in conditions} <= {"PDUM_USE_NVTX", "Py_GIL_DISABLED"}, path.name


def test_product_does_not_know_the_simulator() -> None:
    for path in shipped_files():
        if path.suffix == ".so":
            continue
        assert not re.search(r"nvsim|simulat|\bmock\b|\bfake\b|LD_LIBRARY_PATH", path.read_text(), re.IGNORECASE), path


def test_only_one_adapter_knows_what_connects_machines() -> None:
    """Another one could take its place: the seam and all that is above it name no package."""
    connecting = {"dask", "distributed", "tornado", "cloudpickle"}
    knowing = {
        path.relative_to(PYTHON / "nvenc").as_posix()
        for path in (PYTHON / "nvenc").rglob("*.py")
        if {name.partition(".")[0] for name in imports_of(path)} & connecting
    }
    adapter = {f"_cluster/dask_{part}.py" for part in ("client", "settings", "worker")}
    assert knowing == {*adapter, "_pool/pool.py"}, "the pool names the type of a connection alone"


LISTS_OF_LAYERS = {"architecture.md": 1, "CONTRIBUTING.md": -1}
"""Pages that list the folders, and whether from the bottom up or down."""


@pytest.mark.parametrize(("page", "direction"), LISTS_OF_LAYERS.items())
def test_pages_list_the_folders_as_layers(page: str, direction: int) -> None:
    text = (ROOT / ("docs" if page == "architecture.md" else "") / page).read_text()
    native = re.search(r"^src/cpp +(.+)", text, re.MULTILINE)
    python = re.search(r"^src/pdum/nvenc +(.+\n +→.+)", text, re.MULTILINE)
    assert native is not None, page
    assert python is not None, page
    assert re.findall(r"\w+", native[1])[::direction] == list(LAYERS)
    folders = re.findall(r"\w+", python[1])[::direction]
    assert sorted(folders) == sorted(path.parent.name for path in (PYTHON / "nvenc").glob("*/__init__.py"))
    for number, folder in enumerate(folders):
        assert used_by(folder) & set(folders[number + 1 :]) == set(), f"{folder} uses what {page} lists above it"


def used_by(folder: str) -> set[str]:
    """The other packages that modules of this one import."""
    paths = (PYTHON / "nvenc" / folder).rglob("*.py")
    names = set().union(*(imports_of(path) for path in paths if path.relative_to(PYTHON / "nvenc") != FACE))
    return {name.split(".")[2] for name in names if name.startswith("pdum.nvenc.")} - {folder}


def test_pdum_is_a_namespace_package() -> None:
    assert sorted(path.name for path in PYTHON.iterdir() if path.name != "__pycache__") == [
        "nvenc",
        "nvenc_command.py",
    ]
    assert (PYTHON / "nvenc" / "__init__.py").is_file()
    assert (PYTHON / "nvenc" / "py.typed").is_file()


def test_the_commands_first_module_loads_nothing() -> None:
    """Until it has been loaded, Ctrl-C prints a traceback."""
    tree = ast.parse((PYTHON / "nvenc_command.py").read_text())
    imported = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(node) for node in imported] == ["from __future__ import annotations", "import os"]


def imports_of(path: Path) -> set[str]:
    """Full names of all modules that the file imports, anywhere in the file."""
    found: set[str] = set()
    package = ["pdum", *path.relative_to(PYTHON).parent.parts]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            is_package = base.removeprefix("pdum.nvenc").lstrip(".") in ("", *PACKAGES)
            found |= {f"{base}.{alias.name}" for alias in node.names} if is_package else {base}
    return found


def test_python_imports_point_downwards() -> None:
    """Each module has its place, except the front ends, which are one layer."""
    files = sorted((PYTHON / "nvenc").rglob("*.py"))
    assert files
    for path in files:
        unit = python_unit(path.relative_to(PYTHON / "nvenc").with_suffix("").parts)
        if unit in PACKAGES:
            assert not imports_of(path), f"{unit} only groups modules"
            continue
        assert unit in PYTHON_LAYERS, f"{path.name} has no place in the layers yet"
        own = {python_unit(name.split(".")[2:]) for name in imports_of(path) if name.startswith("pdum.nvenc.")}
        lower = {*PYTHON_LAYERS[: PYTHON_LAYERS.index(unit)], *([unit] if unit in FRONT_ENDS else [])}
        assert own <= lower, f"{path.name} imports {sorted(own - lower)}"


def python_unit(parts: Sequence[str]) -> str:
    """A name in PYTHON_LAYERS, or a package's name for its __init__."""
    if parts[0] in FRONT_ENDS:
        return parts[0]
    return ".".join(part for part in parts[: 2 if parts[0] in PACKAGES else 1] if part != "__init__") or "__init__"


def test_python_imports_nothing_heavy_at_start() -> None:
    """numpy and av are imported on demand, never at the top of a module."""
    for path in (PYTHON / "nvenc").rglob("*.py"):
        top = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
        names = {name.split(".")[0] for name in imports_of_nodes(top)}
        assert not names & {"numpy", "av", "cupy", "torch", "fsspec"}, path.name


def imports_of_nodes(nodes: list[ast.Import | ast.ImportFrom]) -> set[str]:
    found: set[str] = set()
    for node in nodes:
        found |= (
            {alias.name for alias in node.names}
            if isinstance(node, ast.Import)
            else set()
            if node.level
            else {node.module or ""}
        )
    return found
