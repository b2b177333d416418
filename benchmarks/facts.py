"""What a reader must know of the machine and the programs to make sense of the figures."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

from benchmarks.peers import ROOT, find, find_nginx

PACKAGES = ("tornado", "httptools", "uvloop", "aiohttp")


def cpu_model(cpuinfo: str) -> str:
    """The model in the text of /proc/cpuinfo, or "unknown" where it names none."""
    found = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found[1].strip() if found else "unknown"


def aprp_version(source: str) -> str:
    """The version in the text of aprp/__init__.py, read and not imported."""
    found = re.search(r"^__version__\s*(?::\s*\w+\s*)?=\s*[\"']([^\"']+)", source, re.MULTILINE)
    return found[1] if found else "unknown"


def package_version(name: str) -> str:
    """The installed version of a package."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def nginx_version() -> str:
    """The version that nginx states, such as 1.22.1."""
    stated = subprocess.run([find_nginx(), "-v"], capture_output=True, text=True, check=True)
    return stated.stderr.strip().rpartition("/")[2]


def varnish_version() -> str:
    """The version that Varnish states, such as 7.1.1; "not installed" where it is missing."""
    program = find("varnishd")
    if program is None:
        return "not installed"
    stated = subprocess.run([program, "-V"], capture_output=True, text=True, check=True)
    number = re.search(r"varnish-([\d.]+)", stated.stderr + stated.stdout)
    return number[1] if number else "unknown"


def file_system(mountinfo: str, path: Path) -> str:
    """The type of the file system a resolved path is on, in the text of /proc/self/mountinfo."""
    kinds = {}
    for line in mountinfo.splitlines():
        mount, _, source = line.partition(" - ")
        # proc(5): the fifth field is where it is mounted, with spaces as \040.
        kinds[Path(mount.split()[4].replace("\\040", " "))] = source.split()[0]
    return next((kinds[place] for place in (path, *path.parents) if place in kinds), "unknown")


def gather(disk: Path) -> dict[str, str]:
    """The facts, in the order in which they are shown. Reads the load before the run begins.

    `disk` is the directory below which caches are kept.
    """
    load = os.getloadavg()[0]
    facts = {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "CPU": cpu_model(Path("/proc/cpuinfo").read_text()),
        "cores": str(os.cpu_count()),
        "load before the run": f"{load:.2f}",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "aprp": aprp_version((ROOT / "aprp" / "__init__.py").read_text()),
        "nginx": nginx_version(),
        "varnish": varnish_version(),
        "caches on": file_system(Path("/proc/self/mountinfo").read_text(), disk.resolve()),
    }
    return facts | {name: package_version(name) for name in PACKAGES}
