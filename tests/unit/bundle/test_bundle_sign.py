"""Signatures: minisign's own, and what is done with them."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

import pytest

from hfmirror.bundle import PublicKey, SecretKey, Trust, take_in
from hfmirror.bundle.layout import SIGNATURE, SUMS
from hfmirror.bundle.sign import check
from hfmirror.errors import BadSignature, DamagedBundle, UsageError
from hfmirror.store.disk import DiskStore
from tests.unit.bundle.shelf import FILES, contents, export, put

if TYPE_CHECKING:
    from pathlib import Path

bindings = pytest.importorskip("nacl.bindings", reason="PyNaCl, the extra `sign`, is not installed")

# Made by minisign 0.11: the key, and its signature of b"hello\n".
KEY = "RWQHthT7GXM01anKTLXLsveZ2OjXrsjVU02O8oPpdAwIaNgh7QnVsYm0"
SIGNED = """\
untrusted comment: signature from minisign secret key
RUQHthT7GXM01Z+tEHJR+VSQRwqBQJP6mk7ZycQBesiSb+n0DqoU4AHTNvxh09Y/1zNM4YHXy5Cccqytb+z6JpQwhm4dhuNxRQY=
trusted comment: timestamp:1795388344\tfile:SHA256SUMS\thashed
k2GJF238By4RAB9klmZBCkbnnjU6vHeeIzbtSJFd2ibpwyMt2hdr08Svtb86VkUKtj3914x8fbdqtaN1bZNEAQ==
"""


def pair(seed: bytes = b"1") -> tuple[SecretKey, PublicKey]:
    """A key and its public half."""
    public, secret = bindings.crypto_sign_seed_keypair(hashlib.sha256(seed).digest())
    number = hashlib.sha256(seed).digest()[:8]
    return SecretKey(number, secret), PublicKey(number, public)


def key_file(path: Path, secret: SecretKey, password: str | None = None) -> Path:
    """As `minisign -G` writes it: plain, or locked with a password (and cheaper to open than a real one)."""
    body = secret.number + secret.key
    body += hashlib.blake2b(b"Ed" + body, digest_size=32).digest()
    ops, memory, salt, kind = 32768, 16777216, b"s" * 32, b"\0\0"
    if password is not None:
        from nacl.pwhash import scrypt

        mask = scrypt.kdf(len(body), password.encode(), salt, opslimit=ops, memlimit=memory)
        body, kind = bytes(a ^ b for a, b in zip(body, mask, strict=True)), b"Sc"
    raw = b"Ed" + kind + b"B2" + salt + ops.to_bytes(8, "little") + memory.to_bytes(8, "little") + body
    path.write_text(f"untrusted comment: a secret key\n{base64.b64encode(raw).decode()}\n", encoding="utf-8")
    return path


def public_file(path: Path, key: PublicKey) -> Path:
    """As `minisign -G` writes the other half."""
    text = base64.b64encode(b"Ed" + key.number + key.key).decode()
    path.write_text(f"untrusted comment: minisign public key {key}\n{text}\n", encoding="utf-8")
    return path


def never() -> str:
    """A password nobody may be asked for."""
    raise AssertionError("asked for a password")


# -- the form -----------------------------------------------------------------------------------


def test_what_minisign_signed_holds() -> None:
    key = PublicKey.parse(KEY)
    assert check("x", b"hello\n", SIGNED, [pair()[1], key]) == key
    assert str(key) == "D5347319FB14B607"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"hallo\n", SIGNED),
        (b"hello\n", SIGNED.replace("timestamp:1795388344", "timestamp:1795388345")),
        (b"hello\n", SIGNED.replace("k2GJF", "k2GJG")),
        (b"hello\n", SIGNED.replace("RUQHthT7GXM01Z", "RUQHthT7GXM01A")),
        (b"hello\n", "hello"),
        (b"hello\n", SIGNED.replace("RUQ", "")),
        (b"hello\n", ""),
    ],
)
def test_anything_else_does_not(data: bytes, text: str) -> None:
    with pytest.raises(BadSignature):
        check("x", data, text, [PublicKey.parse(KEY)])


def test_a_key_is_read_from_words_or_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "k.pub").write_text(f"untrusted comment: minisign public key\n{KEY}\n", encoding="utf-8")
    assert PublicKey.parse(str(tmp_path / "k.pub")) == PublicKey.parse(f" {KEY} ")
    for wrong in ("RWnonsense", str(tmp_path / "nothing"), KEY[:-4]):
        with pytest.raises(UsageError):
            PublicKey.parse(wrong)


def test_a_plain_key_asks_for_no_password(tmp_path: Path) -> None:
    secret, public = pair()
    read = SecretKey.read(key_file(tmp_path / "k.key", secret), never)
    assert check("x", b"data", read.sign(b"data", "file:x"), [public]) == public


def test_a_locked_key_opens_with_its_password_only(tmp_path: Path) -> None:
    secret, _ = pair()
    path = key_file(tmp_path / "k.key", secret, "open sesame")
    assert SecretKey.read(path, lambda: "open sesame") == secret
    with pytest.raises(UsageError, match="password"):
        SecretKey.read(path, lambda: "open barley")


@pytest.mark.parametrize("text", ["", "nonsense", KEY])
def test_what_is_no_secret_key_is_refused_with_how_to_make_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "k.key").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        SecretKey.read(tmp_path / "k.key", never)
    assert "minisign -G" in caught.value.hint()


# -- bundles ------------------------------------------------------------------------------------


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    """A signed bundle."""
    store = DiskStore(tmp_path / "store")
    put(store)
    export(store, tmp_path / "stick", signer=pair()[0])
    return tmp_path / "stick"


def test_a_signed_bundle_is_taken_from_whom_one_trusts(stick: Path, tmp_path: Path) -> None:
    key = pair()[1]
    taken = take_in(stick, DiskStore(tmp_path / "a"), Trust((key,), required=True))
    assert str(key) in taken.signature
    assert contents(DiskStore(tmp_path / "a")) == FILES
    assert "nobody checked" in take_in(stick, DiskStore(tmp_path / "b")).signature


def test_a_bundle_of_a_stranger_is_refused(stick: Path, tmp_path: Path) -> None:
    with pytest.raises(BadSignature, match="none of those trusted"):
        take_in(stick, DiskStore(tmp_path / "a"), Trust((pair(b"2")[1],)))
    assert not (tmp_path / "a").exists()


def test_taking_the_signature_off_does_not_help(stick: Path, tmp_path: Path) -> None:
    (stick / SIGNATURE).unlink()
    with pytest.raises(BadSignature, match="not signed"):
        take_in(stick, DiskStore(tmp_path / "a"), Trust((pair()[1],)))


def test_other_sums_under_the_same_signature_are_refused(stick: Path, tmp_path: Path) -> None:
    (stick / SUMS).write_text((stick / SUMS).read_text("utf-8").replace("0", "1", 1), encoding="utf-8")
    with pytest.raises((BadSignature, DamagedBundle)):
        take_in(stick, DiskStore(tmp_path / "a"), Trust((pair()[1],)))


def test_exporting_more_without_a_key_takes_the_old_signature_away(stick: Path, tmp_path: Path) -> None:
    export(DiskStore(tmp_path / "store"), stick)
    assert not (stick / SIGNATURE).exists()
