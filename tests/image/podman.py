"""Podman with a storage and a configuration of its own, and the host's pip settings for builds."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Self

# runc and these limits, because crun and the limits that podman takes by default need more of the
# kernel and of the cgroups than containers and small machines have.
CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=16384:16384", "nproc=16384:16384"]

[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


class Podman:
    """Runs podman commands, away from the user's own images, containers and settings."""

    def __init__(self) -> None:
        # Short: podman puts Unix sockets below it, whose paths may not be longer than 107 bytes.
        self.directory = Path(tempfile.mkdtemp(prefix="aprp-", dir="/var/tmp"))
        config = self.directory / "containers.conf"
        config.write_text(CONTAINERS_CONF)
        self.environment = os.environ | {
            "CONTAINERS_CONF": str(config),
            "TMPDIR": str(self.directory),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self("rm", "--all", "--force", "--time", "0")
        self("rmi", "--all", "--force")
        overlay = self.directory / "storage" / "overlay"
        if overlay.is_mount():
            subprocess.run(["umount", overlay], check=True)
        shutil.rmtree(self.directory)

    def command(self, *arguments: str) -> list[str]:
        """The words of a podman command line."""
        at = [f"--root={self.directory}/storage", f"--runroot={self.directory}/run"]
        return ["podman", *at, f"--tmpdir={self.directory}/tmp", *arguments]

    def __call__(self, *arguments: str, check: bool = True) -> str:
        """Run a command to its end and return its standard output."""
        done = self.run(*arguments)
        if check and done.returncode != 0:
            raise AssertionError(f"podman {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, whatever its exit code."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def pip_volumes(self) -> list[str]:
        """Options that give a build this machine's pip configuration, and what it points at."""
        listed = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"],
            capture_output=True,
            text=True,
            check=True,
        )
        values = _pip_values(listed.stdout.splitlines())
        config = self.directory / "pip.conf"
        lines = ["[global]", *(f"{key} = {value}" for key, value in values.items())]
        config.write_text("\n".join(lines) + "\n")
        mounts = {str(config): "/etc/pip.conf"} | {path: path for path in _paths(values.values())}
        return [f"--volume={path}:{target}:ro" for path, target in mounts.items()]


def _pip_values(lines: Iterable[str]) -> dict[str, str]:
    """Settings by name, from lines like `global.timeout='60'`; the environment's win."""
    values = {}
    for section in ("global", "install", ":env:"):
        for line in lines:
            key, _, value = line.partition("=")
            if key.startswith(section + "."):
                name = key.removeprefix(section + ".")
                values[name] = value.strip("'\"").replace("\\n", " ")
    return values


def _paths(values: Iterable[str]) -> list[str]:
    """The directories and files that settings name, by path or by file: URL."""
    words = [Path(word) for value in values for word in value.split() if word.startswith("/")]
    for url in (word for value in values for word in value.split() if word.startswith("file:///")):
        index = Path(url.removeprefix("file://"))
        # An index may refer to files beside it.
        words.append(index if index.parent == Path("/") else index.parent)
    return sorted({str(word) for word in words if word.exists()})
