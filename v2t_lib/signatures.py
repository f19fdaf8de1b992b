"""What a file is that isn't what was asked for, by its first bytes: in words, with what to do.

A row is one pattern, which has to match at the file's start; the first row that matches counts.
"""

import re
import zlib

#: How many bytes of a file are looked at.
HEAD = 4096
CONVERT = "turn it into an MP4 first: ffmpeg -i IN OUT.mp4"
_UNPACK = "unpack it first"
_PICTURE = "only a picture that moves is a clip: save it as a GIF or MP4"
_RECORD = "record it as a GIF or MP4 first"
_SOUND = "a clip has pictures"
_STREAM = "download what it lists first: ffmpeg -i URL OUT.mp4"
_POINT = "name what it points to"
_TABLE: dict[str, dict[str, str]] = {
    "get the file itself: git lfs pull": {
        "a Git LFS pointer": r"version https://(git-lfs|hawser)\b"
    },
    "get the file itself: git annex get": {
        "a git-annex pointer": r"[^\n]{0,200}(/annex|\.git/annex)/objects/"
    },
    "download it in Finder first": {
        "a placeholder of iCloud": r"bplist00.{0,200}NSURL|<\?xml.{0,400}<plist.{0,400}NSURL"
    },
    "it is a note of macOS beside the file of that name without ._": {
        "AppleDouble data": r"\0\x05\x16[\0\x07]"
    },
    _POINT: {
        "a shortcut": r"L\0{3}\x01\x14\x02\0|\[(InternetSh|Desktop )|<\?xml.{0,400}<plist",
        "a link of another system": r"!<symlink>|IntxLNK|XSym\n",
        "a torrent": r"d\d+:(announce|created|info)",
    },
    _UNPACK: {
        "a zip archive": r"PK(\x03\x04|\x05\x06|\x07\x08)",
        "a gzip archive": r"\x1f\x8b",
        "a 7-Zip archive": r"7z\xbc\xaf\x27\x1c",
        "a RAR archive": r"Rar!\x1a\x07",
        "an xz archive": r"\xfd7zXZ\0",
        "a bzip2 archive": r"BZh[1-9]",
        "a Zstandard archive": r"\x28\xb5\x2f\xfd",
        "a tar archive": r".{257}ustar",
        "base64 text": r"(data:[\w/+.-]*;base64,|[A-Za-z0-9+/]{60}[A-Za-z0-9+/\r\n]*=*\s*$)",
    },
    _STREAM: {
        "a playlist of a stream (HLS)": r"\s*#EXTM3U",
        "a playlist of a stream (DASH)": r"\s*<.{0,2000}?<?MPD[\s>]",
    },
    "get the file anew, signed in where the site asks for it": {
        "a web page or other text": r"\s*(?=<).{0,300}?<(!doctype )?html|\s*<(?!.{0,2000}svg[\s>])",
    },
    _RECORD: {
        "an SVG drawing": r"\s*<",
        "a Lottie animation": r'\s*\{.{0,2000}"(ip|op|layers)"\s*:',
        "a Flash file (SWF)": r"[FCZ]WS[\x01-\x40]",
        "a PDF document": r"\s*%PDF-",
        "a document of an office program": r"\xd0\xcf\x11\xe0",
    },
    "get the file anew": {"JSON text, as a server's notice": r"\s*[{\[]"},
    "export the picture or video from the camera's own format first": {
        "a raw photo of a camera": r"FUJIFILMCCD|II(\*\0.{4}CR|RO|U\0)|.{4}ftypcrx ",
    },
    _PICTURE: {
        "a JPEG XL picture": r"\xff\x0a|\0{3}\x0cJXL ",
        "a JPEG 2000 picture": r"\0{3}\x0cjP  |\xff\x4f\xff\x51",
        "a TIFF picture or a camera's raw photo": r"II[*+]\0|MM\0[*+]",
        "a Photoshop file": r"8BPS",
        "an icon": r"\0\0[\x01\x02]\0[\x01-\x40]\0",
        "a MNG animation": r"\x8aMNG",
        "a HEIC picture": r".{4}ftyp(hei|hev|mif1|msf1)",
    },
    _SOUND: {
        "sound": r"ID3|\xff[\xfb\xf3\xf2\xfa\xf1\xf9]|RIFF.{4}WAVE|fLaC|#!AMR|FORM.{4}AIF|MThd"
        r"|OggS.{24}(OpusHead|\x01vorbis|Speex|\x7fFLAC)|.{4}ftypM4[AB]",
    },
    CONVERT: {
        "a Windows Media video (WMV, ASF)": r"0&\xb2u\x8ef\xcf\x11",
        "a Flash video (FLV)": r"FLV\x01",
        "an MPEG video": r"\0\0\x01[\xba\xb3]",
        "a RealMedia video": r"\.RMF",
        "an Ogg video": r"OggS",
        "a raw H.264 or HEVC stream": r"\0{2,3}\x01[\x67\x27\x47\x40\x42\x09\x46]",
        "an MXF video": r"\x06\x0e\x2b\x34",
        "a video of raw frames": r"YUV4MPEG2|DKIF",
        "a FLIC animation": r".{4}[\x11\x12]\xaf",
        "an MPEG transport stream, or a piece of one": r"(.{4})?G@\0|.{0,203}?(G.{187}){2}G",
    },
    "name the .keras file": {"an HDF5 file, as of weights alone": r"\x89HDF\r\n\x1a\n"},
    "hand it over in Python, as uint8 (N, H, W, 3)": {"a NumPy array": r"\x93NUMPY"},
    "get it anew: the download was cut off, or the cloud drive hasn't fetched it": {
        "nothing but zeros": r"\0+$"
    },
}
_ROWS = [
    (re.compile(pattern.encode("latin-1"), re.DOTALL | re.IGNORECASE), f"{name}; {way}")
    for way, names in _TABLE.items()
    for name, pattern in names.items()
]


def what_is(head: bytes) -> str:
    """What a file is by its first `HEAD` bytes, and after "; " what to do; "" if nothing is known.

    Files that the library reads are not told apart here.
    """
    if not head:
        return "an empty file; get it anew"
    head = head.removeprefix(b"\xef\xbb\xbf")
    if head[:2] == b"\x1f\x8b" and b'"tgs"' in _unzipped(head):
        return f"an animated sticker (TGS); {_RECORD}"
    return next((what for pattern, what in _ROWS if pattern.match(head)), "")


def _unzipped(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(head, HEAD)
    except zlib.error:
        return b""
