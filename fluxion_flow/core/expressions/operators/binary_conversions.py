"""Binary data from and to texts and numbers: base 64, hexadecimal, UTF-8, UUIDs, byte orders (MongoDB: $convert)."""

from __future__ import annotations

import base64
import binascii
import re
import struct
from typing import Any, Final

from ...values import INT32_MAX, INT32_MIN
from .conversion_error import ConversionError

FORMATS: Final = ("auto", "base64", "base64url", "hex", "utf8", "uuid")
BYTE_ORDERS: Final = ("little", "big")

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]*={0,2}", re.ASCII)
_UUID_SUBTYPE: Final = 4


def text_as_binary(text: str, format_: str, subtype: int) -> bytes:
    """The bytes that a text stands for. A UUID has the binary subtype 4, and nothing else has.

    Raises :class:`ConversionError` for a text that is not of the format.
    """
    if (subtype == _UUID_SUBTYPE) != (format_ == "uuid"):
        raise ConversionError("the format 'uuid' goes with the binary subtype 4, and no other format does")
    try:
        if format_ == "base64":
            return base64.b64decode(text, validate=True)
        if format_ == "base64url" and _BASE64URL.fullmatch(text):
            plain = text.rstrip("=")
            return base64.urlsafe_b64decode(plain + "=" * (-len(plain) % 4))
        if format_ == "hex" and re.fullmatch("[0-9a-fA-F]*", text, re.ASCII):
            return bytes.fromhex(text)
        if format_ == "utf8":
            return text.encode()
        if format_ == "uuid" and _UUID.fullmatch(text):
            import uuid

            return uuid.UUID(text).bytes
    except (ValueError, binascii.Error):
        pass
    raise ConversionError(f"the string {text[:40]!r} is not in the format {format_!r}")


def binary_as_text(data: bytes, format_: str) -> str:
    """Bytes as a text. Raises :class:`ConversionError` where they are no UTF-8 or not the 16 bytes of a UUID."""
    if format_ in ("base64", "auto"):
        return base64_of(data)
    if format_ == "base64url":
        return base64.urlsafe_b64encode(data).decode().rstrip("=")
    if format_ == "hex":
        return data.hex().upper()
    if format_ == "utf8":
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise ConversionError("the binary data is not UTF-8") from None
    if len(data) != 16:
        raise ConversionError(f"a UUID has 16 bytes, the binary data {len(data)}")
    import uuid

    return str(uuid.UUID(bytes=data))


def base64_of(data: bytes) -> str:
    """Bytes in base 64."""
    return base64.b64encode(data).decode()


def integer_of(data: bytes, byte_order: Any) -> int:
    """The signed integer in 1, 2, 4 or 8 bytes. Raises :class:`ConversionError` for another length."""
    if len(data) not in (1, 2, 4, 8):
        raise ConversionError(f"an integer has 1, 2, 4 or 8 bytes, the binary data {len(data)}")
    return int.from_bytes(data, byte_order, signed=True)


def double_of(data: bytes, byte_order: str) -> float:
    """The floating-point number in 4 or 8 bytes. Raises :class:`ConversionError` for another length."""
    if len(data) not in (4, 8):
        raise ConversionError(f"a floating-point number has 4 or 8 bytes, the binary data {len(data)}")
    order = "<" if byte_order == "little" else ">"
    return float(struct.unpack(order + ("f" if len(data) == 4 else "d"), data)[0])


def number_as_binary(number: int | float, byte_order: Any) -> bytes:
    """The 4 bytes of an int, or the 8 bytes of a long or a double."""
    if isinstance(number, float):
        return struct.pack(("<" if byte_order == "little" else ">") + "d", number)
    return number.to_bytes(4 if INT32_MIN <= number <= INT32_MAX else 8, byte_order, signed=True)
