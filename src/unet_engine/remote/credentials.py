"""A token → keys and a certificate, the same on both ends, for TLS in both directions.

The token is 32 random bytes, the private key of Ed25519 (RFC 8032) itself. Each end
makes from it the same certificate, trusts that one alone, and demands it of the other
end. So who has no token gets no further than the handshake of TLS.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import secrets
import shlex
import ssl
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import platformdirs

from unet_engine.devices import (
    Device,
    checked_device,
    given_token,
    host_and_port,
    split_token,
)
from unet_engine.errors import DeviceError, EngineError, SpecError
from unet_engine.files.atomic import whole_file

if TYPE_CHECKING:
    from pathlib import Path

    from distributed.security import Security

TOKEN_VARIABLE = "NAPARI_UNET_TOKEN"
"""Environment variable with the token, for an address that has none in it."""

_TOKEN_BYTES = 32
"""Length of a private key of Ed25519."""

_LONGEST_FILE = 4096
"""Bytes that are read of a file with a token: it has 43, and may be any other file."""

_EXTRA = 'pip install "napari-unet-finetune[distributed]"'

_VALID = datetime(2020, 1, 1), datetime(2120, 1, 1)
"""Of the certificate: a token has no end, and clocks differ."""


def new_token() -> str:
    """Return a random token, 43 letters, digits, ``-`` and ``_``."""
    return (
        base64.urlsafe_b64encode(secrets.token_bytes(_TOKEN_BYTES)).decode().strip("=")
    )


def kept_token(path: Path) -> str:
    """Return the token in a file, which is made for this user alone where it is not.

    Raises
    ------
    EngineError
        When the file holds something else, cannot be read or written, or is open to
        other users.
    """
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(
                os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w"
            ) as file:
                file.write(new_token())
        with path.open("rb") as file:
            content = file.read(_LONGEST_FILE)
        is_open = _is_open_to_others(path)
    except OSError as error:
        raise EngineError(
            f"{path} cannot hold a token ({error.strerror or error}); check its "
            "permissions, or name another file for it"
        ) from error
    if is_open:
        raise EngineError(
            f"{path} can be read or changed by other users, and who has the token can "
            f"run programs under your name; chmod 600 {shlex.quote(str(path))}, or "
            "name another file for it"
        )
    token = content.decode("ascii", "replace").strip()
    if not _is_token(token):
        raise EngineError(
            f"{path} holds something else than a token; delete it to have one made, "
            "or name another file for it"
        )
    return token


def _is_open_to_others(path: Path) -> bool:
    """Whether other users may read or change a file; Windows keeps that elsewhere."""
    return os.name != "nt" and bool(path.stat().st_mode & 0o077)


@lru_cache(maxsize=8)
def security_of(token: str) -> Security:
    """Return what dask.distributed encrypts and authenticates with.

    Raises
    ------
    DeviceError
        When the token is none, or the libraries are not installed.
    """
    key = _private_key(token)
    try:
        from cryptography.hazmat.primitives import serialization
        from distributed.security import Security
    except ImportError as error:
        raise _not_installed(error) from error
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    certificate = _certificate(key)
    ends = {
        f"tls_{end}_{part}": value
        for end in ("client", "scheduler", "worker")
        for part, value in (("cert", certificate), ("key", private))
    }
    return Security(
        require_encryption=True,
        tls_ca_file=certificate,
        tls_min_version=ssl.TLSVersion.TLSv1_3,
        **ends,
    )


def _private_key(token: str) -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError as error:
        raise _not_installed(error) from error
    if not _is_token(token):
        raise DeviceError(
            "the token is not one that napari-unet worker made, or is cut off; copy "
            "the whole line that it printed"
        )
    return Ed25519PrivateKey.from_private_bytes(_bytes_of(token))


def _is_token(token: object) -> bool:
    return isinstance(token, str) and len(_bytes_of(token)) == _TOKEN_BYTES


def _bytes_of(token: str) -> bytes:
    """Return what a token stands for; nothing where it is none."""
    try:
        return base64.b64decode(f"{token}=", altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return b""


def _certificate(key: Any) -> str:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.x509.oid import NameOID

    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "napari-unet worker")])
    begins, ends = _VALID
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, None)
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _not_installed(error: ImportError) -> DeviceError:
    return DeviceError(
        f"a device that is other processes needs dask.distributed and cryptography "
        f"({error.name} is not installed); {_EXTRA}"
    )


def remember_token(device: Device) -> None:
    """Keep the token of a device for later programs, in a file of this user alone.

    Parameters
    ----------
    device
        Whose token this process knows; nothing is written for another one.
    """
    token = given_token(device)
    if not token:
        return
    tokens = _read_tokens()
    # The last one is the one that was used last.
    tokens.pop(_line(device), None)
    tokens[_line(device)] = token
    path = _tokens_file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with whole_file(path) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(tokens, indent=1))


def remembered_devices() -> tuple[Device, ...]:
    """Return the devices whose tokens are kept, the one that was kept last first."""
    found = []
    for line in reversed(_read_tokens()):
        host, _, port = line.rpartition(":")
        device = f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"
        # A file that was edited by hand may hold anything.
        with suppress(SpecError):
            found.append(checked_device(device))
    return tuple(found)


def token_for(device: Device) -> str:
    """Return the token for an address.

    Raises
    ------
    DeviceError
        When none is known, or the one of the environment or of the user's file is none;
        states where to get one.
    """
    if token := given_token(device) or _token_of_environment():
        return token
    token = _read_tokens().get(_line(device), "")
    if not token:
        empty = f" ({TOKEN_VARIABLE} is empty)" if TOKEN_VARIABLE in os.environ else ""
        raise DeviceError(
            f"no token is known for {device}{empty}; use the whole line that "
            f"napari-unet worker printed, tcp://TOKEN@host:port, or set "
            f"{TOKEN_VARIABLE}"
        )
    if not _is_token(token):
        raise DeviceError(
            f"what {_tokens_file()} keeps for {device} is no token; use the whole line "
            "that napari-unet worker printed, tcp://TOKEN@host:port, which replaces it"
        )
    return token


def _token_of_environment() -> str:
    """Return the token in the variable, in which the whole line may stand as well."""
    value = os.environ.get(TOKEN_VARIABLE, "").strip()
    token = split_token(value)[1] or value
    if token and not _is_token(token):
        raise DeviceError(
            f"the environment variable {TOKEN_VARIABLE} holds no token, or one that is "
            "cut off; set it to the 43 characters between :// and @ in the line that "
            "napari-unet worker printed, or unset it and use the whole line"
        )
    return token


def _tokens_file() -> Path:
    return platformdirs.user_config_path("napari-unet-finetune", False) / "tokens.json"


def _read_tokens() -> dict[str, str]:
    path = _tokens_file()
    try:
        if _is_open_to_others(path):
            path.chmod(0o600)
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _line(device: Device) -> str:
    host, port = host_and_port(device)
    return f"{host}:{port}"
