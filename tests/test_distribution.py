"""What is installed: all files the program reads and all libraries it imports, pinned but for where from."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CLIENT = ROOT / "clients" / "python"
PACKAGES = {
    **{name: ROOT / name for name in ("gateway", "protocol", "storage", "schemas")},
    "zaqar_gateway_client": CLIENT / "src" / "zaqar_gateway_client",
}
"""What the gateway's wheel holds. The last one is a distribution of its own too."""

LOCKS = ["requirements.lock", "requirements-build.lock", "requirements-dev.lock"]


def normalised(name: str) -> str:
    """A distribution's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def imported_modules(*packages: str) -> set[str]:
    """The top-level names of everything that these packages import."""
    found: set[str] = set()
    for package in packages:
        for path in PACKAGES[package].rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    found.update(alias.name.partition(".")[0] for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    found.add(node.module.partition(".")[0])
    return found


def files_of(*packages: str) -> set[str]:
    """All files of these packages, as a wheel names them."""
    return {
        (Path(folder) / file).relative_to(PACKAGES[package].parent).as_posix()
        for package in packages
        for folder, _, files in os.walk(PACKAGES[package], followlinks=True)  # gateway/pages/sdk is a link
        for file in files
        if "__pycache__" not in folder
    }


def build(project: Path, folder: Path) -> zipfile.ZipFile:
    """The project's wheel."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=project, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    return zipfile.ZipFile(wheel)


@pytest.mark.parametrize(("folder", "packages"), [(ROOT, list(PACKAGES)), (CLIENT, ["zaqar_gateway_client"])])
def test_every_imported_library_is_a_declared_dependency(folder: Path, packages: list[str]) -> None:
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {normalised(re.split(r"[\[<>=! ;]", line)[0]) for line in project["dependencies"]}
    distributions = packages_distributions()
    undeclared = {
        module
        for module in imported_modules(*packages) - sys.stdlib_module_names - set(packages)
        if not declared & {normalised(name) for name in distributions.get(module, [])}
    }
    assert undeclared == set()


def test_what_the_client_needs_the_gateway_needs_alike() -> None:
    needed = [
        set(tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"])
        for folder in (CLIENT, ROOT)
    ]
    assert needed[0] < needed[1]


def test_the_wheel_of_the_client_holds_it_alone(tmp_path: Path) -> None:
    wheel = build(CLIENT, tmp_path)
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == files_of(
        "zaqar_gateway_client"
    )
    assert any(name.endswith("py.typed") for name in wheel.namelist())
    assert any(name.endswith("LICENSE") for name in wheel.namelist())
    metadata = wheel.read(next(name for name in wheel.namelist() if name.endswith("METADATA"))).decode()
    assert sorted(re.findall(r"^Requires-Dist: (\w+)", metadata, re.MULTILINE)) == ["msgpack", "websockets"]


def test_the_wheel_holds_every_file_of_the_packages(tmp_path: Path) -> None:
    names = build(ROOT, tmp_path).namelist()
    held = {name for name in names if name.partition("/")[0] in PACKAGES}
    assert held == files_of(*PACKAGES)
    assert any(name.endswith(".lua") for name in held)
    assert any(name.endswith(".json") for name in held)


@pytest.mark.parametrize("name", LOCKS)
def test_locks_pin_and_hash_everything_and_name_no_host_or_folder(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*-", text.replace("    --hash=sha256:", ""), re.MULTILINE)
    pins = re.findall(
        r"^[a-z0-9][a-z0-9.-]*==[^\s;]+.*\\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE
    )
    assert len(pins) == len(re.findall(r"^[^\s#]", text, re.MULTILINE)) > 0
