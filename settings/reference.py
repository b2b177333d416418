"""Write the reference page of all settings: `python -m settings.reference > docs/settings.md`."""

from __future__ import annotations

from settings import base, development, production
from settings.declare import Option, groups, options

_INTRODUCTION = """\
<!-- Made by `python -m settings.reference > docs/settings.md` from settings/. -->

# Settings

Each setting has a flag, an environment variable and a default. A flag wins over the environment,
and the environment over the default:

```sh
python runserver.py --upstream http://localhost:9000 --port 8080
APRP_UPSTREAM=http://localhost:9000 APRP_PORT=8080 python runserver.py
```

`python runserver.py --help` lists all of them. A wrong value stops the start with a line that names
the setting, the value and what is allowed, and exit code 2:

```
aprp: PORT: 'eighty' is not a whole number from 0 to 65535 (from APRP_PORT)
```

How values are written:

- **Lists** have commas between their entries: `--upstream http://a:8080,http://b:8080`. A flag may
  also be repeated: `--upstream http://a:8080 --upstream http://b:8080`. A comma that belongs to a
  URL is written `%2C`; a password with a comma can be given in a settings class only.
- **Sizes** are bytes, or have K, M, G or T behind them, as powers of 1024: `512`, `64K`, `512M`,
  `4G`.
- **Durations** are seconds, or have a unit: `1.5`, `90`, `250ms`, `30s`, `10m`, `1h`, `2d`.
- **Switches** are `on` or `off` in the environment (`true`, `false`, `yes`, `no`, `1` and `0` are
  understood too). As flags: `--debug` puts on, `--no-debug` puts off, and `--debug off` does too.
- **Paths** that are relative start at the directory in which the program is started. The default of
  MEDIA_DIR lies in the project's directory instead.
- **Empty** text means "none" where that is allowed: `--log-file ""`, `APRP_LOG_FILE=`.

## Choosing the settings class

Two classes come with aprp: `settings.development`, which is taken if nothing else is said, and
`settings.production`. `APRP_SETTINGS` or `--settings` chooses:

```sh
APRP_SETTINGS=settings.production APRP_UPSTREAM=http://origin:8080 python runserver.py
```

A class of your own lives in any module that Python can import; the working directory is searched
too. It derives from one of the classes here and says only what differs:

```python
# studio.py
from settings import production


class Settings(production.Settings):
    PORT = 9000
    UPSTREAM = ["http://storage-1:8080/films", "http://storage-2:8080/films"]
    BUFFER_SIZE = 512 * 1024  # bytes
    SEND_TIMEOUT = 120  # seconds

    STUDIO: str = "north"  # a setting of your own: --studio, APRP_STUDIO
```

```sh
python runserver.py --settings studio
```

`studio` takes the class `Settings` of the module `studio`; `studio:Night` takes its class `Night`.
Names that this project uses at its top level (`settings`, `aprp`) are not free for such a module.
An inherited setting keeps its bounds and its help, with or without an annotation. A new one needs
an annotation; it then has a flag and a variable like the others.

To read a file as well, override `settings_customise_sources` and put a source of pydantic-settings
behind the one that is there; flags and environment still win. In tests, `Settings(PORT=0)` takes
what it is given and the defaults of the class: it does not look at the environment.

## Routes

ROUTES puts several sites behind one proxy. In the environment and as a flag it is JSON:

```sh
APRP_ROUTES='{"/films/": "http://media:9000/", "img.example.org/": ["http://a", "http://b"]}'
```

In a settings class it is a mapping, or a list of objects in which `route` is the name:

```python
ROUTES = {
    "/films/": "http://media:9000/",
    "*.example.org/thumbs/": {
        "upstream": ["http://thumbs-1:8080", "http://thumbs-2:8080"],
        "headers": {"X-Key": "1"},
        "cache_key_ignore": ["token"],
        "stale_if_error": "1h",
    },
}
```

The name of a route is a path, or a host and a path. The host is a name, an address, or `*.` and a
name for all names below it, however deep; port and case of what a client asks for do not count. The
path holds on the edges of segments: `/films` is for `/films` and `/films/x` and not for
`/filmstrip`, `/films/` is for `/films/` and `/films/x` and not for `/films`. Routes of the very
host are looked at first, then those of `*.` names, the longest first, then those without a host;
among the routes of one host the longest path wins. What no route is for goes to UPSTREAM.

An upstream with a path, if only `/`, has that path in place of the route's: with the first route
above `/films/x` is asked for as `http://media:9000/x`. An upstream without a path gets the whole
path: with `http://media:9000` it would be `http://media:9000/films/x`. Several upstreams of one
route need the same path, or none at all.

A route may have, beside `upstream`:

| Member | Value | Without it |
| --- | --- | --- |
| `headers` | fields that the origins get, in place of the client's of the same names | none |
| `host` | what the origins get as Host | as for UPSTREAM |
| `connect_timeout`, `first_byte_timeout`, `idle_timeout` | durations | these settings |
| `cache` | `true` or `false`: whether answers may be stored | `true` |
| `cache_key_ignore` | a list of query parameters | CACHE_KEY_IGNORE |
| `stale_if_error`, `stale_while_revalidate`, `heuristic_max` | durations | these settings |

## Where forwarding may lead

FORWARD_ALLOW and TARGET_URL_ALLOW name hosts: `media.example`, `*.example.org` for all names below
example.org (not for example.org itself), addresses such as `127.0.0.1` and `::1`, networks such as
`10.0.0.0/8`, and `*` for every public host. Names are written in ASCII, others as `xn--...`.

- An empty FORWARD_ALLOW allows every public host and nothing else; an empty TARGET_URL_ALLOW allows
  none.
- Set, it allows only what is listed: a host by its name, or by its addresses.
- Private, loopback, link-local and other addresses that are not public are refused unless the
  address is listed or the host's own name is, in full or by a pattern. Who lists `*.example.org`
  trusts whoever gives names below example.org their addresses, private ones included. `*` lists no
  name.
- The address that is checked is the one that is connected to, and each redirect is checked anew.

With TARGET_URL_ALLOW any client may change the target for all clients.

## Signed links

With SIGNED_URLS on, a request needs `expires` and `signature` in its query, as `aprp sign` makes
them; others get 403. Both sides need the same SIGNING_KEY:

```sh
APRP_SIGNING_KEY=... aprp sign http://proxy.example/film.mp4 --for 1h
```

What is signed is the path, without a range in it, and the expiry. The host and the other query
parameters are not signed: whoever has a link may change them.

SIGNING_KEY, PROXY_USERS and the headers of ROUTES are shown nowhere, neither in errors nor by
`--help`. Flags can be read by others on the same machine; the environment or a settings class is
better.

## Kubernetes

For a Service named `aprp`, Kubernetes puts `APRP_PORT=tcp://10.0.0.1:8000` and other `APRP_...`
variables into each container of the namespace, and the start stops with a line about PORT. Set
`enableServiceLinks: false` in the pod's specification, or give the Service another name.

## Environment

A variable that begins with `APRP_` and belongs to no setting is named in a warning at the start,
with the setting that was probably meant. `ASYNC_PROXY_SERVER_PORT` is read for PORT if `APRP_PORT`
is not there.
"""

_HEAD = """\
| Setting | Flag | Variable | Value | Default | Meaning |
| --- | --- | --- | --- | --- | --- |
"""


def page() -> str:
    """Return the reference page as Markdown."""
    parts = [_INTRODUCTION]
    for group, members in groups(options(base.Settings)).items():
        parts.append(f"\n## {group}\n\n{_HEAD}" + "".join(map(_row, members)))
    return "".join(parts)


def _row(option: Option) -> str:
    cells = (
        option.name,
        ", ".join(f"`{flag}`" for flag in option.flags),
        ", ".join(f"`{variable}`" for variable in option.variables),
        option.kind.described,
        _defaults(option),
        option.help,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _defaults(option: Option) -> str:
    """Return the default, and those of the two classes that come with aprp where they differ."""
    parts = [_quoted(option.shown_default)]
    for name, settings_class in (("development", development), ("production", production)):
        other = next(o for o in options(settings_class.Settings) if o.name == option.name)
        if other.shown_default != option.shown_default:
            parts.append(f"{name}: {_quoted(other.shown_default)}")
    return "; ".join(parts)


def _quoted(default: str) -> str:
    return default if default == "empty" else f"`{default}`"


if __name__ == "__main__":
    print(page(), end="")
