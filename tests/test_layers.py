"""The house rules that can be read off the imports."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import dinosearch

PACKAGE = Path(__file__).parent.parent / "dinosearch"
WEB = PACKAGE.parent / "web"

LAYERS = {
    "errors": 0,
    "geometry": 0,
    "images": 1,
    "encoders": 1,
    "storage": 1,
    "scoring": 1,
    "indexing": 2,
    "search": 2,
    "pca": 2,
    "corpus": 2,
    "duplicates": 2,
    "defects": 2,
    "probes": 2,
    "overview": 2,
    "export": 2,
    "faces": 3,
    "image_index": 3,
    "opening": 3,
    "evaluation": 4,
    "cli": 4,
}
CONFINED = {
    "faiss": {"storage"},
    "h5py": {"storage"},
    "sqlite3": {"storage"},
    "torch": {"encoders", "scoring", "probes"},
    "torchvision": {"encoders"},
    "timm": {"encoders"},
    "sklearn": {"probes"},
}
# What the page and its API may be made of: the web's own libraries, never those of the core.
WEB_MAY = {"flask", "werkzeug", "waitress", "pydantic", "limits", "prometheus_client"}
WEB_MAY |= set(sys.stdlib_module_names) - {"sqlite3", "pickle"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Dotted names that a file imports anywhere, functions included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the layer"
            assert node.module
            found |= {node.module} | {f"{node.module}.{a.name}" for a in node.names}
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_file_imports_only_from_its_own_layer_or_lower(path):
    if path == PACKAGE / "__init__.py":
        return
    own = LAYERS[room(path)]
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "dinosearch" or len(parts) < 2:
            continue
        if parts[1] in LAYERS:
            assert LAYERS[parts[1]] <= own, f"{room(path)} (layer {own}) imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_libraries_stay_in_their_rooms(path):
    for name in imports(path):
        rooms = CONFINED.get(name.split(".")[0])
        assert rooms is None or room(path) in rooms, f"{path} imports {name}"


def test_every_room_has_a_layer():
    assert {room(p) for p in modules()} - {"__init__"} <= set(LAYERS)


def test_no_file_is_a_drawer():
    drawers = {"utils", "helpers", "common", "types", "misc"}
    assert not [p for p in [*modules(), *web_files()] if p.stem in drawers]


def loaded_by(code: str) -> set[str]:
    """Top-level names of the modules that running `code` in a fresh Python loads."""
    program = f"{code}\nimport sys; print(' '.join({{m.split('.')[0] for m in sys.modules}}))"
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(output.stdout.split())


def test_importing_dinosearch_loads_nothing_heavy():
    heavy = {"torch", "timm", "torchvision", "sklearn", "faiss", "h5py", "numpy", "PIL"}
    assert not loaded_by("import dinosearch") & heavy


def web_files() -> list[Path]:
    return sorted(WEB.rglob("*.py"))


@pytest.mark.parametrize("path", web_files(), ids=lambda p: str(p.relative_to(WEB)))
def test_web_takes_only_public_names_of_the_core(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = {alias.name for alias in node.names}
            assert {name.split(".")[0] for name in names - {"dinosearch"}} <= WEB_MAY, path
        elif isinstance(node, ast.ImportFrom) and node.level:
            depth = len(path.relative_to(WEB).parts)
            assert node.level <= depth, f"{path} imports from beyond web"
        elif isinstance(node, ast.ImportFrom):
            assert node.module
            if node.module == "dinosearch":
                assert {alias.name for alias in node.names} <= set(dinosearch.__all__), path
            elif node.module != "dinosearch.errors":
                assert node.module.split(".")[0] in WEB_MAY, f"{path} imports {node.module}"


def test_the_core_knows_nothing_of_the_web():
    users = [p for p in modules() if any(n.startswith("dinosearch.web") for n in imports(p))]
    assert [room(path) for path in users] == ["cli"], "and there only `serve`"


def test_every_folder_of_code_is_installed_and_every_file_of_the_page_with_it():
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert project["package-dir"] == {"dinosearch.web": "web"}
    packages = {
        ".".join(path.parent.relative_to(PACKAGE.parent).parts).replace("web", "dinosearch.web")
        for path in [*modules(), *web_files()]
    }
    assert sorted(project["packages"]) == sorted(packages)
    patterns = project["package-data"]["dinosearch.web"]
    installed = {path for pattern in patterns for path in WEB.glob(pattern)}
    files = {p for p in WEB.rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")}
    assert installed == files
