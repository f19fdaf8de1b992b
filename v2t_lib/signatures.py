"""What a file is that isn't what was asked for, by its first bytes: in words, with what to do."""

import re
import zlib

#: How many bytes of a file are looked at.
HEAD = 4096
CONVERT = "turn it into an MP4 first: ffmpeg -i IN OUT.mp4"
_UNPACK = "unpack it first"
_PICTURE = "only a picture that moves is a clip: save it as a GIF or MP4"
_RECORD = "record it as a GIF or MP4 first"
_STREAM = "download what it lists first: ffmpeg -i URL OUT.mp4"
_POINT = "name what it points to"
_AGAIN = "get it anew: the download was cut off, or the cloud drive hasn't fetched it"
#: By what a file is, and after "; " what to do, how it begins; the first that matches counts.
_TABLE = {
    "a Git LFS pointer; get the file itself: git lfs pull": r"version https://(git-lfs|hawser)\b",
    "a git-annex pointer; get the file itself: git annex get": (
        r"[^\n]{0,200}(/annex|\.git/annex)/objects/"
    ),
    "a placeholder of iCloud; download it in Finder first": (
        r"bplist00.{0,200}NSURL|<\?xml.{0,400}<plist.{0,400}NSURL"
    ),
    "AppleDouble data; it is a note of macOS beside the file of that name without ._": (
        r"\0\x05\x16[\0\x07]"
    ),
    f"a shortcut; {_POINT}": r"L\0{3}\x01\x14\x02\0|\[(InternetSh|Desktop )|<\?xml.{0,400}<plist",
    f"a link of another system; {_POINT}": r"!<symlink>|IntxLNK|XSym\n",
    f"a torrent; {_POINT}": r"d\d+:(announce|created|info)",
    f"a zip archive; {_UNPACK}": r"PK(\x03\x04|\x05\x06|\x07\x08)",
    f"a gzip archive; {_UNPACK}": r"\x1f\x8b",
    f"a 7-Zip archive; {_UNPACK}": r"7z\xbc\xaf\x27\x1c",
    f"a RAR archive; {_UNPACK}": r"Rar!\x1a\x07",
    f"an xz archive; {_UNPACK}": r"\xfd7zXZ\0",
    f"a bzip2 archive; {_UNPACK}": r"BZh[1-9]",
    f"a Zstandard archive; {_UNPACK}": r"\x28\xb5\x2f\xfd",
    f"a tar archive; {_UNPACK}": r".{257}ustar",
    f"base64 text; {_UNPACK}": (
        r"(data:[\w/+.-]*;base64,|[A-Za-z0-9+/]{60}[A-Za-z0-9+/\r\n]*=*\s*$)"
    ),
    f"a playlist of a stream (HLS); {_STREAM}": r"\s*#EXTM3U",
    f"a playlist of a stream (DASH); {_STREAM}": r"\s*<.{0,2000}?<?MPD[\s>]",
    "a web page or other text; get the file anew, signed in where the site asks for it": (
        r"\s*(?=<).{0,300}?<(!doctype )?html|\s*<(?!.{0,2000}svg[\s>])"
    ),
    f"an SVG drawing; {_RECORD}": r"\s*<",
    f"a Lottie animation; {_RECORD}": r'\s*\{.{0,2000}"(ip|op|layers)"\s*:',
    f"a Flash file (SWF); {_RECORD}": r"[FCZ]WS[\x01-\x40]",
    f"a PDF document; {_RECORD}": r"\s*%PDF-",
    f"a document of an office program; {_RECORD}": r"\xd0\xcf\x11\xe0",
    "JSON text, as a server's notice; get the file anew": r"\s*[{\[]",
    "a raw photo of a camera; export the picture or video from the camera's own format first": (
        r"FUJIFILMCCD|II(\*\0.{4}CR|RO|U\0)|.{4}ftypcrx "
    ),
    f"a JPEG XL picture; {_PICTURE}": r"\xff\x0a|\0{3}\x0cJXL ",
    f"a JPEG 2000 picture; {_PICTURE}": r"\0{3}\x0cjP  |\xff\x4f\xff\x51",
    f"a TIFF picture or a camera's raw photo; {_PICTURE}": r"II[*+]\0|MM\0[*+]",
    f"a Photoshop file; {_PICTURE}": r"8BPS",
    f"an icon; {_PICTURE}": r"\0\0[\x01\x02]\0[\x01-\x40]\0",
    f"a MNG animation; {_PICTURE}": r"\x8aMNG",
    f"a HEIC picture; {_PICTURE}": r".{4}ftyp(hei|hev|mif1|msf1)",
    "sound; a clip has pictures": (
        r"ID3|\xff[\xfb\xf3\xf2\xfa\xf1\xf9]|RIFF.{4}WAVE|fLaC|#!AMR|FORM.{4}AIF|MThd"
        r"|OggS.{24}(OpusHead|\x01vorbis|Speex|\x7fFLAC)|.{4}ftypM4[AB]"
    ),
    f"a Windows Media video (WMV, ASF); {CONVERT}": r"0&\xb2u\x8ef\xcf\x11",
    f"a Flash video (FLV); {CONVERT}": r"FLV\x01",
    f"an MPEG video; {CONVERT}": r"\0\0\x01[\xba\xb3]",
    f"a RealMedia video; {CONVERT}": r"\.RMF",
    f"an Ogg video; {CONVERT}": r"OggS",
    f"a raw H.264 or HEVC stream; {CONVERT}": r"\0{2,3}\x01[\x67\x27\x47\x40\x42\x09\x46]",
    f"an MXF video; {CONVERT}": r"\x06\x0e\x2b\x34",
    f"a video of raw frames; {CONVERT}": r"YUV4MPEG2|DKIF",
    f"a FLIC animation; {CONVERT}": r".{4}[\x11\x12]\xaf",
    f"an MPEG transport stream, or a piece of one; {CONVERT}": (
        r"(.{4})?G@\0|.{0,203}?(G.{187}){2}G"
    ),
    "an HDF5 file, as of weights alone; name the .keras file": r"\x89HDF\r\n\x1a\n",
    "a NumPy array; hand it over in Python, as uint8 (N, H, W, 3)": r"\x93NUMPY",
    f"nothing but zeros; {_AGAIN}": r"\0+$",
}
_PATTERNS = {
    what: re.compile(begins.encode("latin-1"), re.DOTALL | re.IGNORECASE)
    for what, begins in _TABLE.items()
}


def what_is(head: bytes) -> str:
    """What a file is by its first `HEAD` bytes, and after "; " what to do; "" if nothing is known.

    Files that the library reads are not told apart here.
    """
    if not head:
        return "an empty file; get it anew"
    head = head.removeprefix(b"\xef\xbb\xbf")
    if head[:2] == b"\x1f\x8b" and b'"tgs"' in _unzipped(head):
        return f"an animated sticker (TGS); {_RECORD}"
    return next((what for what, begins in _PATTERNS.items() if begins.match(head)), "")


def _unzipped(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(head, HEAD)
    except zlib.error:
        return b""
