"""The door of a forward proxy: absolute requests, whose target names the host, and who may ask."""

from typing import NoReturn

from aprp.handlers.errors import LOOP, Problem
from aprp.handlers.exchange import Exchange
from aprp.semantics.credentials import basic, challenge, matches
from aprp.semantics.reaching import Reach
from aprp.semantics.requests import absolute_parts
from aprp.sites.site import Site
from aprp.sites.sites import LeadsBack, NotAllowed


def is_for(exchange: Exchange) -> bool:
    """Whether the target of a request names the host that is to be asked, as proxies get it.

    Without FORWARD it names this server, as every server has to understand it (RFC 9112 section
    3.2.2).
    """
    if exchange.app.sites.forward is None or exchange.target.startswith("/"):
        return False
    return absolute_parts(exchange.target) is not None


def admit(exchange: Exchange) -> Reach:
    """Let in who may use forwarding, and say whom they may reach; raises Problem 403 or 407."""
    app = exchange.app
    reach = app.sites.forward
    if reach is None:
        raise Problem(
            403,
            "This proxy does not forward to hosts that clients name. FORWARD=on makes it do so.",
        )
    users = app.settings.PROXY_USERS
    if users and not matches(users, basic(exchange.headers.get("Proxy-Authorization"))):
        raise Problem(
            407,
            "Forwarding needs a name and a password, as PROXY_USERS has them.",
            fields={"Proxy-Authenticate": challenge(app.settings.VIA_NAME)},
        )
    return reach


def site_of(exchange: Exchange) -> Site | None:
    """The site that an absolute target names, None for this proxy itself; raises Problem."""
    parts = absolute_parts(exchange.target)
    assert parts is not None
    scheme, authority, _ = parts
    sites = exchange.app.sites
    try:
        server = sites.server(scheme, authority)
    except LeadsBack:
        return None
    except ValueError:
        raise Problem(400, "The request target names no host.") from None
    admit(exchange)
    try:
        site = sites.of_server(server)
    except NotAllowed as error:
        raise Problem(
            403,
            "This host is not allowed here. FORWARD_ALLOW names the hosts.",
            private=f"{error}: not in FORWARD_ALLOW",
        ) from None
    if exchange.method == "OPTIONS" and exchange.target.endswith(f"//{authority}"):
        # RFC 9112 section 3.2.4: of a URL without path and query the server gets "*".
        exchange.resource = "*"
    return site


def refuse_own(exchange: Exchange) -> NoReturn:
    """Raise Problem for a request that would be forwarded to this proxy itself."""
    admit(exchange)
    raise Problem(508, LOOP)
