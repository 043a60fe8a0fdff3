"""HTTP on the wire: uvicorn's parser in C, which has no limit of its own on what comes before a body."""

from typing import Any

MOST_HEAD = 32 * 2**10  # bytes of a request line and its headers


def bounded() -> type[Any]:
    """uvicorn's protocol, but that it hangs up on a caller whose headers do not come to an end."""
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class Bounded(HttpToolsProtocol):
        head_bytes, in_body = 0, False

        def data_received(self, data: bytes) -> None:
            """Bytes count as they come, so that a head may be one piece longer."""
            if not self.in_body:
                self.head_bytes += len(data)
            super().data_received(data)
            if self.head_bytes > MOST_HEAD and not self.transport.is_closing():
                self.transport.close()

        def on_headers_complete(self) -> None:
            self.in_body, self.head_bytes = True, 0
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self.in_body = False
            super().on_message_complete()

    return Bounded
