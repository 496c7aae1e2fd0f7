"""One connection of the server: heads of requests end, trailers are dropped, the client's certificate is told.

uvicorn's own connection says nothing of certificates (no TLS extension of ASGI), takes heads of any size, and takes the
fields behind a body in pieces for fields of the head.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from safelight.errors import MissingExtra

try:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
except ImportError as missing:
    raise MissingExtra(str(missing.name), "guard", "The proxy") from None

MOST_HEAD = 2**17  # bytes of a request line and its headers, and of what frames and follows a body in pieces


class Connection(HttpToolsProtocol):
    """A connection over TCP or TLS, HTTP/1.1.

    Where the client proved to own a certificate, which TLS itself has checked by then, `scope["extensions"]["tls"]` is
    as in the TLS extension of ASGI (0.2), as far as Python knows it.
    """

    _shown: dict[str, Any] | None = None
    _inside = False  # behind the head of a request
    _chunk = 0  # bytes that are being read
    _loose = 0  # bytes that are no body, since the head or the body began

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remember who is at the other end."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        certificate = None if tls is None else tls.getpeercert(binary_form=True)
        if certificate is not None:
            self._shown = dict.fromkeys(("server_cert", "client_cert_name", "tls_version", "cipher_suite"))
            self._shown |= {"client_cert_chain": [ssl.DER_cert_to_PEM_cert(certificate)], "client_cert_error": None}

    def data_received(self, data: bytes) -> None:
        """Read on, and hang up where a head does not end."""
        self._chunk = len(data)
        super().data_received(data)
        self._loose += len(data)
        if self._loose > MOST_HEAD and not self.transport.is_closing():
            self.send_400_response("Invalid HTTP request received.")

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._inside = False
        if self._shown is not None:
            extensions: Any = {"tls": self._shown}
            self.scope["extensions"] = extensions

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header of the head; what comes behind the body is no header."""
        if not self._inside:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """End the head."""
        self._inside, self._loose = True, -self._chunk
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._loose -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request; what comes next is a head."""
        self._loose = -self._chunk
        super().on_message_complete()
