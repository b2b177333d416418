"""What a reader must know of the machine and the programs to make sense of the figures."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

from benchmarks.peers import ROOT, find_nginx

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


def gather() -> dict[str, str]:
    """The facts, in the order in which they are shown. Reads the load before the run begins."""
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
    }
    return facts | {name: package_version(name) for name in PACKAGES}
