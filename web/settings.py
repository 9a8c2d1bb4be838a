"""What a server is told when it starts."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path

from dinosearch import DinoSearchError

MB = 1 << 20


class BadSettings(DinoSearchError):
    """A server that must not or cannot be started this way."""

    exit_code = 2


def _uploads_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache).expanduser() if cache else Path.home() / ".cache") / "dinosearch/uploads"


@dataclass(frozen=True)
class Settings:
    """How to serve.

    indexes      folders of indexes, or one folder that holds several
    host, port   where to listen; anything but this machine needs a `token`
    token        what others must show (`Authorization: Bearer`, or the login page)
    hosts        further names this server may be called by, besides its address
    roots        folders whose pictures may be added from the page and whose originals are
                 served, besides the sources that an index was made from
    uploads      where pictures that were asked with are kept
    query_ttl    how long, in seconds, unless pinned
    uploads_bytes  how much of them is kept at most
    upload_bytes, upload_pixels  largest picture that may be asked with
    searches_per_minute  for one client
    threads      requests answered side by side
    heavy        of them, how many may wait for encoding, scanning or decoding at a time; the
                 rest stay free for thumbnails and pages
    deadline     seconds that heavy work may take before its request is given up
    """

    indexes: tuple[str | os.PathLike[str], ...]
    host: str = "127.0.0.1"
    port: int = 8080
    token: str | None = field(default=None, repr=False)
    hosts: tuple[str, ...] = ()
    roots: tuple[str | os.PathLike[str], ...] = ()
    uploads: Path = field(default_factory=_uploads_folder)
    query_ttl: float = 24 * 3600.0
    uploads_bytes: int = 2048 * MB
    upload_bytes: int = 64 * MB
    upload_pixels: int = 100_000_000
    searches_per_minute: int = 60
    threads: int = 16
    heavy: int = 10
    deadline: float = 60.0

    def __post_init__(self) -> None:
        if not self.indexes:
            raise BadSettings("name at least one index to serve")
        if self.token is not None and len(self.token) < 16:
            raise BadSettings(
                "the token is shorter than 16 characters and would be guessed: make one with"
                " python -c 'import secrets; print(secrets.token_urlsafe())'"
            )
        if not self.is_loopback and self.token is None:
            raise BadSettings(
                f"{self.host} can be reached from other machines, and whoever reaches it could"
                " see every picture: give a token (--token-file FILE), or listen on 127.0.0.1"
            )
        for root in self.roots:
            if not os.path.isdir(root):
                raise BadSettings(f"there is no folder {os.fspath(root)} to take pictures from")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False

    @property
    def trusted_hosts(self) -> frozenset[str]:
        """Names, in lower case and without a port, that a request may be addressed to.

        Without such a list any page in the user's browser could reach the server under a
        name of its own that it has resolve to this machine (DNS rebinding).
        """
        names = {"localhost", "127.0.0.1", "[::1]", *self.hosts}
        if self.host not in ("0.0.0.0", "::"):
            names.add(f"[{self.host}]" if ":" in self.host else self.host)
        return frozenset(name.lower() for name in names)
