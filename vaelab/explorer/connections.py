"""Connections to the served page: those that do not know its token are few, and the oldest gives way."""

import asyncio
from typing import Any

Address = tuple[str, int]


def connection_type(known: set[Address], most: int) -> type[asyncio.Protocol]:
    """uvicorn's type of a connection, with at most `most` connections of clients that are not in `known`.

    A new connection takes the place of the oldest of these. Otherwise any program on the computer could keep the page
    from being shown: it need only open connections, and send nothing or half a request.

    Arguments:
        known: the addresses of clients that sent the token. An address is removed when its connection ends.
    """
    from uvicorn.protocols.http.h11_impl import H11Protocol

    opened: dict[H11Protocol, None] = {}  # a set that keeps the order

    class Connection(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            strangers = [each for each in opened if each.client not in known]
            if len(strangers) >= most:
                del opened[strangers[0]]
                strangers[0].transport.abort()  # `close` would wait until it has read its answers
            opened[self] = None

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            opened.pop(self, None)
            if self.client is not None:
                known.discard(self.client)

    return Connection
