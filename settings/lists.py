"""Kinds of settings that are lists, each with the check of its entries and what these are."""

from __future__ import annotations

from settings import addresses, hosts
from settings.texts import Listed

UPSTREAMS = Listed(
    entry=addresses.upstream,
    meaning="an http or https URL without user, query and fragment, such as "
    "http://origin:8080/films, or the word embedded",
    missing="not set: give the address of an origin, such as --upstream http://origin:8080",
)
ORIGINS = Listed(
    entry=addresses.web_origin,
    meaning="an origin without a path, such as https://player.example, or *",
)
NETWORKS = Listed(
    entry=addresses.network,
    meaning="an IP address or network such as 10.0.0.0/8 or 2001:db8::/32",
)
PARAMETERS = Listed(
    entry=addresses.parameter,
    meaning="the name of a query parameter, such as token, or its beginning with * behind it, "
    "such as X-Amz-*",
)
REACHABLE = Listed(
    entry=hosts.reachable,
    meaning="a host name in ASCII without a port such as media.example, a pattern such as "
    "*.example.org, an IP address or network such as 10.0.0.0/8, or * for every public host",
)
PORTS = Listed(
    entry=hosts.port,
    meaning="a port from 1 to 65535",
    numbers=True,
)
MEDIA_TYPES = Listed(
    entry=addresses.media_type,
    meaning="a media type such as video/mp4, or all of a kind, such as video/*",
)
USERS = Listed(
    entry=addresses.user,
    meaning="name:password, both not empty and without control characters",
    secret=True,
)
