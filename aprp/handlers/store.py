"""Which action of the file store is for which door, with or without a name, and which method."""

from typing import Final

from aprp.handlers import downloads, files, uploads
from aprp.handlers.exchange import Exchange

_ACTIONS: Final[dict[tuple[str, bool], dict[str, files.Action]]] = {
    ("/upload", False): {"POST": uploads.post},
    ("/upload", True): {"PUT": uploads.put, "HEAD": uploads.head, "DELETE": uploads.give_up},
    ("/download", False): {"GET": downloads.get},
    ("/download", True): {"GET": downloads.get},
    ("/files", False): {"GET": files.list_files},
    ("/files", True): {"DELETE": files.delete_file},
}


async def serve(exchange: Exchange) -> None:
    """Answer a request to the file store; raises Problem."""
    await files.dispatch(exchange, _ACTIONS)
