"""`aprp cache purge`: removes stored responses, while the proxy runs or not."""

import argparse
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

from aprp.cache.entry import Entry
from aprp.cache.store import Store
from aprp.flags import UsageError
from aprp.pages.sizes import size_text
from aprp.tools.directory import opened
from aprp.tools.places import Places
from aprp.tools.screen import Screen
from aprp.tools.texts import count_text

if TYPE_CHECKING:
    from settings.base import Settings

# Removed in one transaction; the proxy's own wait meanwhile.
_AT_ONCE: Final = 100


def add_arguments(group: argparse._ArgumentGroup) -> None:
    """Add what `purge` takes."""
    group.add_argument(
        "urls",
        nargs="*",
        metavar="URL",
        help="a URL of the proxy, or a path such as /film.mp4; the whole object goes, in all its "
        "variants, whatever range the URL has",
    )
    group.add_argument(
        "--prefix",
        metavar="PREFIX",
        help="everything that begins so: a path such as /films/, or a URL of the proxy",
    )
    group.add_argument("--all", action="store_true", help="everything in CACHE_DIR")


def run(settings: "Settings", given: Any) -> bool:
    """Remove; True unless nothing was stored under one of the names. Raises UsageError."""
    kinds = bool(given.urls) + (given.prefix is not None) + given.all
    if kinds != 1:
        what = "no URL is given" if kinds == 0 else "too much is given"
        raise UsageError(f"{what}: one of URL..., --prefix PREFIX or --all says what to remove")
    places = Places(settings)
    if given.prefix is not None:
        names = [(given.prefix, places.prefixes(given.prefix))]
    else:
        names = [(word, [places.key(word)]) for word in dict.fromkeys(given.urls)]
    screen = Screen()
    objects = freed = 0
    found_all = True
    with opened(settings) as store:
        index = store.index
        if given.all:
            store.begin_purge_from("")
            objects, freed = purge(store, index.entries())
            # Also what was being stored while the entries were read has to be looked up again.
            store.state.all_changed()
        find = index.find if given.prefix is None else index.entries
        for word, keys in names:
            if given.prefix is None:
                store.begin_purge(*keys)
            else:
                for key in keys:
                    store.begin_purge_from(key)
            some, bytes = purge(store, chain.from_iterable(map(find, keys)))
            if not some:
                found_all = False
                screen.complaint(f"{word}: nothing is stored under it")
            objects += some
            freed += bytes
    screen.result(f"{count_text(objects, 'object')} removed, {size_text(freed)} set free")
    return found_all


def purge(store: Store, entries: Iterable[Entry]) -> tuple[int, int]:
    """Remove entries and their bytes; give how many there were, and bytes set free on disk.

    The purge has been begun (`Store.begin_purge`) before the entries are looked for.
    Readers that have an extent open finish undisturbed.
    """
    objects = freed = 0
    for some in _portions(iter(entries)):
        change = store.index.remove([entry.id for entry in some])
        store.apply(change)
        objects -= change.objects
        freed -= change.bytes
    return objects, freed


def _portions(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    while some := list(islice(entries, _AT_ONCE)):
        yield some
