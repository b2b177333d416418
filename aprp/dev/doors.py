"""What the development proxy answers for LiveReload itself, on the pages' own origin."""

import dataclasses

from aprp.dev.injecting import SCRIPT_PATH, SOCKET_PATH
from aprp.dev.livereload import SCRIPT_TYPE, LiveReload
from aprp.dev.proxy import DevApplication
from aprp.handlers import upgrade
from aprp.handlers.errors import Problem
from aprp.handlers.exchange import Exchange
from aprp.handlers.reply import NO_STORE
from aprp.semantics.upgrades import wants_upgrade


def open_doors(app: DevApplication, live: LiveReload) -> None:
    """Answer for the script and for its WebSocket, which no start of the backend breaks off."""
    site = app.site_of(live.url)

    async def script(exchange: Exchange) -> None:
        if exchange.method not in ("GET", "HEAD"):
            raise Problem(405, "The script is there to be read.", fields={"Allow": "GET, HEAD"})
        # It names the changes that it knows of, and is to name the newest.
        exchange.respond(200, live.script(), SCRIPT_TYPE, NO_STORE)

    async def socket(exchange: Exchange) -> None:
        get = exchange.headers.get
        protocols = wants_upgrade(get, exchange.version, exchange.method)
        if protocols is None:
            fields = {"Upgrade": "websocket", "Connection": "Upgrade"}
            raise Problem(426, "LiveReload speaks WebSocket here.", fields=fields)
        # The host that was asked, which pages of that host may listen to.
        exchange.site = dataclasses.replace(site, host=get("Host"))
        await upgrade.serve(exchange, protocols)

    app.pages |= {SCRIPT_PATH: script, SOCKET_PATH: socket}
