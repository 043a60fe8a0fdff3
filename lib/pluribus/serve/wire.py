"""HTTP on the wire: uvicorn's fast parser, which has no limit of its own on what comes before a body."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD = 32 * 2**10  # bytes of a request line and its headers


class Bounded(HttpToolsProtocol):
    """A connection that is closed when its caller's headers do not come to an end."""

    _head_bytes = 0
    _in_body = False

    def data_received(self, data: bytes) -> None:
        """asyncio. Counted by pieces as they come, so a head may be a piece longer."""
        if not self._in_body:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > MOST_HEAD and not self.transport.is_closing():
            self.transport.close()

    def on_headers_complete(self) -> None:
        """httptools."""
        self._in_body, self._head_bytes = True, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """httptools."""
        self._in_body = False
        super().on_message_complete()
