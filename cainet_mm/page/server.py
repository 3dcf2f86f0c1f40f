"""The page's address, and the server behind it."""

import ipaddress
import socket

from werkzeug.serving import WSGIRequestHandler, make_server

from .app import Page


class Handler(WSGIRequestHandler):
    """Says nothing of what was asked for, and waits a minute for a page that sends nothing."""

    timeout = 60

    def log_request(self, code: int | str = '-', size: int | str = '-') -> None:
        """Leave requests out of the log."""

    def version_string(self) -> str:
        """The server's name, without versions."""
        return 'cainet_mm'


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this computer alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == 'localhost'


def bind(host: str, port: int) -> socket.socket:
    """Take an address to listen on.

    Args:
        host: Name or number.
        port: 0 takes a free one.

    Raises:
        ValueError: It cannot be had.
    """
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except (OSError, OverflowError) as error:
        listener.close()
        raise ValueError(
            f'The page cannot listen on {host}, port {port} ({error}); give another --host or --port.'
        ) from error
    return listener


def serve(page: Page, listener: socket.socket) -> None:
    """Serve the page until the process is asked to end, and end what is being computed."""
    host, port = listener.getsockname()[:2]
    server = make_server(host, port, page, threaded=True, request_handler=Handler, fd=listener.fileno())
    try:
        server.serve_forever()
    finally:
        server.server_close()
        page.workbench.close()
