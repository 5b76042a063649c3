"""Loopback ports for servers of tests."""

from __future__ import annotations

import socket


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def free_neighbours(count: int) -> int:
    """The first of ``count`` neighbouring ports that nobody listens on now."""
    while True:
        (port,) = free_ports(1)
        try:
            for number in range(count):
                with socket.socket() as each:
                    each.bind(("127.0.0.1", port + number))
        except (OSError, OverflowError):
            continue
        return port
