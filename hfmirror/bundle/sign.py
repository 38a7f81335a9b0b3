"""Signatures as minisign makes and reads them, over Ed25519 from PyNaCl (the extra `sign`).

A signed bundle can be checked without us: `minisign -Vm SHA256SUMS -P KEY`.
The form: https://jedisct1.github.io/minisign/, "Signature format" and "Secret key format".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfmirror.errors import BadSignature, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_PURE, _HASHED = b"Ed", b"ED"  # of the content itself, and of its BLAKE2b-512
_SCRYPT, _PLAIN = b"Sc", b"\0\0"  # how a secret key is locked
_MOST = 10_000  # bytes; a key or signature is smaller
_SECRET = "that is no secret key of minisign; make one with `minisign -G -s KEYFILE -p KEYFILE.pub`"  # noqa: S105 - words


def _nacl() -> Any:
    try:
        import nacl.bindings  # noqa: PLC0415 - an extra, and needed by few
        import nacl.pwhash.scrypt  # noqa: PLC0415 - as above
    except ImportError:
        raise UsageError("signatures need PyNaCl", "pip install 'hfmirror-cli[sign]'") from None
    return nacl


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Whose signatures are believed."""

    number: bytes  # eight bytes by which a signature names its key
    key: bytes

    @classmethod
    def parse(cls, told: str) -> PublicKey:
        """From a key as minisign prints it (`RW…`), or from the file that holds one. Raises UsageError."""
        text = told.strip()
        if not text.startswith("RW"):
            text = _last_line(_read(Path(told), f"{told} is neither a key nor a file with one"))
        raw = _bytes(text)
        if len(raw) != 42 or raw[:2] != _PURE:
            raise UsageError(f"{told} is no public key of minisign", "it begins with RW and has 56 characters")
        return cls(raw[2:10], raw[10:])

    def __str__(self) -> str:
        return _called(self.number)


@dataclass(frozen=True, slots=True)
class SecretKey:
    """Who signs."""

    number: bytes
    key: bytes  # seed and public half, 64 bytes

    @classmethod
    def read(cls, path: Path, password: Callable[[], str]) -> SecretKey:
        """From a file of `minisign -G`; `password` is asked only if the key is locked. Raises UsageError."""
        raw = _bytes(_last_line(_read(path, f"{path} cannot be read")))
        if len(raw) != 158 or raw[:2] != _PURE or raw[2:4] not in (_SCRYPT, _PLAIN):
            raise UsageError(f"{path} cannot sign", _SECRET)
        body = raw[54:]
        if raw[2:4] == _SCRYPT:
            ops, memory = (int.from_bytes(raw[at : at + 8], "little") for at in (38, 46))
            body = _unlocked(body, password().encode(), raw[6:38], (ops, memory))
            expected = hashlib.blake2b(_PURE + body[:72], digest_size=32).digest()
            if not hmac.compare_digest(body[72:], expected):
                raise UsageError(f"{path} does not open with this password", "try again, or use another key")
        return cls(body[:8], body[8:72])

    def sign(self, data: bytes, comment: str) -> str:
        """The text of a `.minisig` file for `data`, with a comment that is signed too."""
        sign = _nacl().bindings.crypto_sign
        mark = sign(hashlib.blake2b(data).digest(), self.key)[:64]
        over = sign(mark + comment.encode(), self.key)[:64]
        lines = (
            f"untrusted comment: signature from hfmirror, key {_called(self.number)}",
            base64.b64encode(_HASHED + self.number + mark).decode(),
            f"trusted comment: {comment}",
            base64.b64encode(over).decode(),
        )
        return "\n".join(lines) + "\n"


def _unlocked(body: bytes, password: bytes, salt: bytes, limits: tuple[int, int]) -> bytes:
    """What was locked with a password: scrypt gives a mask of the same length."""
    mask = _nacl().pwhash.scrypt.kdf(len(body), password, salt, opslimit=limits[0], memlimit=limits[1])
    return bytes(one ^ other for one, other in zip(body, mask, strict=True))


def check(where: str, data: bytes, text: str, keys: Iterable[PublicKey]) -> PublicKey:
    """See that one of `keys` signed `data`; which. Raises BadSignature, UsageError without PyNaCl."""
    number, kind, mark, comment, over = _parse(where, text)
    key = next((key for key in keys if key.number == number), None)
    if key is None:
        raise BadSignature(where, f"is signed with the key {_called(number)}, which is none of those trusted")
    signed = hashlib.blake2b(data).digest() if kind == _HASHED else data
    if not (_holds(mark, signed, key) and _holds(over, mark + comment.encode(), key)):
        raise BadSignature(where, f"is not what {_called(number)} signed")
    return key


def signer(text: str) -> str:
    """Who claims to have signed: not proven. Empty when that cannot be read."""
    try:
        return _called(_parse("", text)[0])
    except BadSignature:
        return ""


def _parse(where: str, text: str) -> tuple[bytes, bytes, bytes, str, bytes]:
    lines = text.splitlines()
    said = "trusted comment: "
    if len(lines) < 4 or not lines[2].startswith(said):
        raise BadSignature(where, "has a signature of no known form")
    raw, over = _bytes(lines[1]), _bytes(lines[3])
    if len(raw) != 74 or raw[:2] not in (_PURE, _HASHED) or len(over) != 64:
        raise BadSignature(where, "has a signature of no known form")
    return raw[2:10], raw[:2], raw[10:], lines[2].removeprefix(said), over


def _holds(mark: bytes, signed: bytes, key: PublicKey) -> bool:
    nacl = _nacl()
    try:
        nacl.bindings.crypto_sign_open(mark + signed, key.key)
    except nacl.exceptions.BadSignatureError:
        return False
    return True


def _called(number: bytes) -> str:
    """A key's number as minisign writes it."""
    return number[::-1].hex().upper()


def _bytes(text: str) -> bytes:
    """From base64; nothing when it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


def _read(path: Path, complaint: str) -> str:
    try:
        with path.open(encoding="utf-8") as stream:
            return stream.read(_MOST)
    except (OSError, UnicodeDecodeError):
        raise UsageError(complaint, "keys are made with `minisign -G`") from None
