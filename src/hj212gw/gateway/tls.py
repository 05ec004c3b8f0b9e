"""TLS for a session: bytes are opened and sealed in memory, the socket stays an ordinary one.

The session is known from the accept on, so that its limits, its timeouts and a PROXY header before the handshake work
as on the plain port, on every event loop. A context is loaded anew at a reload; lines that are open keep theirs.
"""

import asyncio
import re
import ssl
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from hj212gw import telemetry_access
from hj212gw.errors import ConfigError
from hj212gw.gateway.session import Session

MN_PREFIX: Final = "urn:hj212:mn:"

_READ_BYTES: Final = 1 << 16
_MN = re.compile(r"[!-%'-+\--:<-~]{1,64}")


class TlsFiles(NamedTuple):
    """Where certificates and keys are.

    Attributes:
        certificate, key: PEM files of the gateway; a key with a password is refused.
        client_ca: PEM file that clients' certificates are checked by; None asks for none.
        requires_client: a client without a certificate is turned away.
        binds_mn: packets of an MN that the client's certificate does not name are marked.
    """

    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    requires_client: bool = False
    binds_mn: bool = True


def load_context(files: TlsFiles) -> ssl.SSLContext:
    """Read certificates and keys into a context for new handshakes.

    Raises:
        ConfigError: a file is missing, unreadable, or does not fit the others.
    """
    if files.certificate is None or files.key is None:
        raise ConfigError("tls.port needs tls.certificate_file and tls.key_file")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(files.certificate, files.key, _refuse_password)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        names = f"tls.certificate_file = {files.certificate} with tls.key_file = {files.key}"
        raise ConfigError(f"{names} cannot be used: {_why(error)}") from error
    if files.client_ca is not None:
        try:
            context.load_verify_locations(files.client_ca)
        except (OSError, ValueError) as error:
            raise ConfigError(f"tls.client_ca_file = {files.client_ca} cannot be used: {_why(error)}") from error
        context.verify_mode = ssl.CERT_REQUIRED if files.requires_client else ssl.CERT_OPTIONAL
    return context


def named_mns(certificate: Mapping[str, Any]) -> frozenset[str]:
    """Return the MNs a client's certificate names, in capitals: by URI or DNS, else by its common name.

    Args:
        certificate: as `ssl.SSLObject.getpeercert` returns it, checked.
    """
    names = [
        name.removeprefix(MN_PREFIX)
        for kind, name in certificate.get("subjectAltName", ())
        if kind == "DNS" or (kind == "URI" and name.startswith(MN_PREFIX))
    ]
    if not names:
        parts = (part for group in certificate.get("subject", ()) for part in group)
        names = [value for kind, value in parts if kind == "commonName"]
    return frozenset(name.upper() for name in names if _MN.fullmatch(name))


class TlsLine(asyncio.Protocol, asyncio.Transport):
    """A protocol towards the socket, and the transport of a session.

    Args:
        context: of the certificate in force now.
        session: gets what is decrypted.
        binds_mn: whether the session learns which MNs the client's certificate names.
    """

    def __init__(self, context: ssl.SSLContext, session: Session, *, binds_mn: bool) -> None:
        super().__init__()
        self._session = session
        self._binds_mn = binds_mn
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._tcp: asyncio.Transport | None = None
        self._is_shaken = False
        self._has_ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; the client speaks first."""
        self._tcp = cast("asyncio.Transport", transport)
        self._session.connection_made(self)

    def data_received(self, data: bytes) -> None:
        """Go on with the handshake, then hand on what is decrypted."""
        self._incoming.write(data)
        if not self._is_shaken and not self._shake():
            return
        plain, error = self._read()
        self._flush()
        if plain:
            self._session.data_received(plain)
        if error is not None:
            self._fail(error)
        elif self._has_ended and not self._session.eof_received():
            self.close()

    def eof_received(self) -> bool:
        """Take the end of the socket for the end of the data, announced or not: frames say themselves if whole."""
        if self._has_ended:
            return True  # the session knows and closes when its answers are sent
        self._has_ended = True
        return self._session.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._session.connection_lost(exc)

    def pause_writing(self) -> None:
        """Tell the session that the client does not take its answers."""
        self._session.pause_writing()

    def resume_writing(self) -> None:
        """Tell it that it does."""
        self._session.resume_writing()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send."""
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            self._fail(error)
            return
        self._flush()

    def close(self) -> None:
        """Say that no more comes, and close when that is sent."""
        if self._is_shaken and not self.is_closing():
            with suppress(ssl.SSLError):  # it asks for the client's end too, which is not waited for
                self._tls.unwrap()
            self._flush()
        self._socket.close()

    def abort(self) -> None:
        """Close at once."""
        self._socket.abort()

    def is_closing(self) -> bool:
        """Tell whether the socket is being closed."""
        return self._socket.is_closing()

    def is_reading(self) -> bool:
        """Tell whether the socket is read."""
        return self._socket.is_reading()

    def pause_reading(self) -> None:
        """Stop reading the socket; what was read is decrypted and handed on already."""
        self._socket.pause_reading()

    def resume_reading(self) -> None:
        """Go on."""
        self._socket.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Ask the socket."""
        return self._socket.get_extra_info(name, default)

    @property
    def _socket(self) -> asyncio.Transport:
        assert self._tcp is not None, "the session learns of the line when it is made"
        return self._tcp

    def _shake(self) -> bool:
        """Go on with the handshake; False while it is not done."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except ssl.SSLError as error:
            self._fail(error)
            return False
        self._is_shaken = True
        certificate = self._tls.getpeercert()
        if certificate and self._binds_mn:
            self._session.certified_mns = named_mns(certificate)
        return True

    def _read(self) -> tuple[bytes, ssl.SSLError | None]:
        """Decrypt all there is, up to a fault; notes the end that the client announced."""
        chunks: list[bytes] = []
        while True:
            try:
                chunk = self._tls.read(_READ_BYTES)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                chunk = b""
            except ssl.SSLError as error:
                return b"".join(chunks), error
            if not chunk:
                self._has_ended = True
                break
            chunks.append(chunk)
        return b"".join(chunks), None

    def _flush(self) -> None:
        if self._outgoing.pending and not self._socket.is_closing():
            self._socket.write(self._outgoing.read())

    def _fail(self, error: ssl.SSLError) -> None:
        """End a line that does not speak TLS as it should; the alert says why to the client."""
        telemetry_access.tls_failed(self._session.peer, _why(error))
        self._flush()
        self._session.close("handshake" if not self._is_shaken else "reset")


def _refuse_password() -> str:
    raise ValueError("the key is protected by a password")


def _why(error: BaseException) -> str:
    """Say shortly what OpenSSL or the system has against it."""
    return str(getattr(error, "reason", None) or getattr(error, "strerror", None) or error)
