"""Varnish with its store in memory: how it is configured and started."""

from __future__ import annotations

import os
from pathlib import Path

# The answer's own fields say how long it may be kept; the built-in VCL does the rest. On a range
# of an object it does not have, Varnish fetches the whole object.
_VCL = """\
vcl 4.1;

backend origin {{
    .host = "127.0.0.1";
    .port = "{origin_port}";
}}

sub vcl_backend_fetch {{
    set bereq.http.X-Forwarded-Proto = "http";
    set bereq.http.X-Forwarded-Host = bereq.http.Host;
    set bereq.http.Forwarded =
        "for=" + bereq.http.X-Forwarded-For + ";proto=http;host=" + bereq.http.Host;
}}
"""


def command(program: str, directory: Path, port: int, origin_port: int) -> list[str]:
    """What starts it in the foreground; writes its VCL and its shared memory into `directory`."""
    vcl = directory / "origin.vcl"
    vcl.write_text(_VCL.format(origin_port=origin_port))
    # Started by root, it would become another user, who cannot enter a private directory.
    jail = ["-j", "none"] if os.geteuid() == 0 else []
    return [
        *(program, *jail, "-F", "-n", str(directory / "varnish"), "-f", str(vcl)),
        *("-a", f"127.0.0.1:{port}", "-T", "none", "-s", "malloc,4G"),
        # As long as the others keep a connection: there are pauses between parts of a run.
        *("-p", "timeout_idle=75"),
    ]
