"""Which formats there are: how a file is recognised, what reads it, what is written, and what is not read and why."""

from __future__ import annotations

from typing import Literal, NamedTuple

Reader = Literal["vips", "tiff", "netpbm", "pillow", "heic", "jxl"]


class Format(NamedTuple):
    """A format that is read.

    Attributes:
        name: what people call it.
        endings: of its files' names, lower case.
        reader: the part of this room that reads it; libvips for ``vips``.
        loader: libvips' operation for it, without ``_source``.
    """

    name: str
    endings: tuple[str, ...]
    reader: Reader
    loader: str = ""


PNG = Format("PNG", (".png", ".apng"), "vips", "pngload")
JPEG = Format("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif", ".jif"), "vips", "jpegload")
TIFF = Format("TIFF", (".tif", ".tiff"), "tiff", "tiffload")
WEBP = Format("WebP", (".webp",), "vips", "webpload")
GIF = Format("GIF", (".gif",), "vips", "gifload")
AVIF = Format("AVIF", (".avif",), "vips", "heifload")
HEIC = Format("HEIC", (".heic", ".heif", ".hif"), "heic")
JXL = Format("JPEG XL", (".jxl",), "jxl")
NETPBM = Format("Netpbm", (".pnm", ".pbm", ".pgm", ".ppm"), "netpbm")
BMP = Format("BMP", (".bmp", ".dib"), "pillow")
JPEG2000 = Format("JPEG 2000", (".jp2", ".j2k", ".jpf", ".jpx", ".j2c"), "pillow")
# what else Pillow reads at the depth it has; Targa has no beginning of its own and goes by its name
OTHERS = Format("another format", (".tga", ".pcx", ".sgi", ".ico", ".qoi", ".dds"), "pillow")

FORMATS = (PNG, JPEG, TIFF, WEBP, GIF, AVIF, HEIC, JXL, BMP, JPEG2000, NETPBM, OTHERS)
ENDINGS = tuple(ending for one in FORMATS for ending in one.endings)
# what is written, by the ending
WRITTEN = {".png": PNG, ".jpg": JPEG, ".jpeg": JPEG, ".tif": TIFF, ".tiff": TIFF, ".webp": WEBP}

BEGINNINGS: tuple[tuple[bytes, Format], ...] = (
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"\xff\xd8\xff", JPEG),
    (b"II*\0", TIFF),
    (b"MM\0*", TIFF),
    (b"II+\0", TIFF),
    (b"MM\0+", TIFF),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"BM", BMP),
    (b"\0\0\0\x0cjP  \r\n\x87\n", JPEG2000),
    (b"\xff\x4f\xff\x51", JPEG2000),
    (b"\xff\x0a", JXL),
    (b"\0\0\0\x0cJXL \r\n\x87\n", JXL),
    (b"\x0a", OTHERS),  # PCX
    (b"\x01\xda", OTHERS),  # SGI
    (b"\0\0\x01\0", OTHERS),  # icons
    (b"qoif", OTHERS),
    (b"DDS ", OTHERS),
)
HEIF_BRANDS = {b"avif": AVIF, b"avis": AVIF} | dict.fromkeys((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis"), HEIC)
CONVERT = "convert it to PNG or TIFF"
# what people try and what is not read, by its beginning
UNREADABLE: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF document; export the page as PNG"),
    (b"%!PS", "a PostScript document; export the page as PNG"),
    (b"8BPS", "a Photoshop document; save it as PNG or TIFF"),
    (b"gimp xcf", "a GIMP document; export it as PNG or TIFF"),
    (b"v/1\x01", f"an OpenEXR picture of scene light; {CONVERT}, tone-mapped for a screen"),
    (b"#?RADIANCE", f"a Radiance HDR picture of scene light; {CONVERT}, tone-mapped for a screen"),
    (b"#?RGBE", f"a Radiance HDR picture of scene light; {CONVERT}, tone-mapped for a screen"),
    (b"PF", f"a PFM picture of scene light; {CONVERT}, tone-mapped for a screen"),
    (b"Pf", f"a PFM picture of scene light; {CONVERT}, tone-mapped for a screen"),
    (b"P7", f"a PAM picture; {CONVERT}"),
    (b"SIMPLE  =", f"a FITS picture of measurements; {CONVERT}, stretched for a screen"),
    (b"FUJIFILMCCD-RAW", f"a camera raw; develop it and {CONVERT}"),
    (b"IIRO", f"a camera raw; develop it and {CONVERT}"),
    (b"IIU\0", f"a camera raw; develop it and {CONVERT}"),
    (b"II\xbc\x01", f"a JPEG XR picture; {CONVERT}"),
    (b"<svg", "an SVG drawing; export it as PNG"),
    (b"<?xml", "an XML document (an SVG drawing?); export it as PNG"),
    (b"\x1a\x45\xdf\xa3", "a video; save a frame of it as PNG"),
)
RAW_ENDINGS = (
    ".dng",
    ".cr2",
    ".cr3",
    ".nef",
    ".nrw",
    ".arw",
    ".srf",
    ".sr2",
    ".orf",
    ".rw2",
    ".pef",
    ".raf",
    ".srw",
    ".3fr",
)


def recognise(head: bytes, ending: str = "") -> Format | str | None:
    """The format of a file.

    Args:
        head: its first 64 bytes, or all of it.
        ending: of its name, lower case, for the formats whose files begin with anything.

    Returns:
        The format; or what kind of file it is if that is known and not read, with what to do; or None.

    >>> recognise(b"\\xff\\xd8\\xff\\xe0").name, recognise(b"%PDF-1.7")
    ('JPEG', 'a PDF document; export the page as PNG')
    """
    if ending in RAW_ENDINGS:
        return f"a camera raw; develop it and {CONVERT}"
    if head[4:8] == b"ftyp":
        size = int.from_bytes(head[:4], "big")
        brands = [head[8:12], *(head[at : at + 4] for at in range(16, min(size, len(head)), 4))]
        known = next((HEIF_BRANDS[brand] for brand in brands if brand in HEIF_BRANDS), None)
        if known:
            return known
        if brands[0] == b"crx ":
            return f"a camera raw; develop it and {CONVERT}"
        if b"mif1" in brands or b"msf1" in brands:
            return HEIC
        return "a video; save a frame of it as PNG"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    if head[:1] == b"P" and head[1:2] in (b"1", b"2", b"3", b"4", b"5", b"6") and head[2:3].isspace():
        return NETPBM
    for beginning, what in UNREADABLE:
        if head.lstrip().startswith(beginning):
            return what
    for beginning, kind in BEGINNINGS:
        if head.startswith(beginning):
            return kind
    return OTHERS if ending == ".tga" else None
