"""Malicious files: reading them may fail, but must have no other effect."""

import os
import socket
import struct
import subprocess
import sys

import pytest

from aistemsplitter_engine.audio import AudioFile
from aistemsplitter_engine.formats import OutputFormat

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs pipes and limits of processes")


PROGRAM = """
import sys, resource
from pathlib import Path
from aistemsplitter_engine.audio import AudioFile
from aistemsplitter_engine.errors import AudioError
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for path in sys.argv[2:]:
    try:
        frames = sum(block.shape[1] for block in AudioFile(path).blocks())
        print("read", frames)
    except AudioError as error:
        print("refused", error)
status = Path("/proc/self/status").read_text()  # ru_maxrss begins with what the parent had
print(int(status.split("VmHWM:")[1].split()[0]) // 1024)
"""
ADDRESS_SPACE = 3 << 30  # bytes: enough for the libraries, too little for a decompression bomb


def read_in_child(*paths) -> tuple[list[str], int]:
    """Read files in a child process; return a line for each, and its peak memory in MiB."""
    command = [sys.executable, "-c", PROGRAM, str(ADDRESS_SPACE), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    *lines, memory = done.stdout.splitlines()
    assert len(lines) == len(paths)
    return lines, int(memory)


@pytest.fixture
def secret(tmp_path):
    """A named pipe that a hostile file refers to; opening it blocks for ever."""
    path = tmp_path / "secret.wav"
    os.mkfifo(path)
    return path


@pytest.fixture
def server():
    """A listening socket that a hostile file refers to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def references(secret, port) -> dict[str, str]:
    """Return texts that refer FFmpeg to another file or address, one for each way to do so."""
    uri, name, web = secret.as_uri(), secret.name, f"http://127.0.0.1:{port}/a.wav"
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"
    manifest = (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="audio/wav">'
        '<Representation id="1" bandwidth="1"><BaseURL>{}</BaseURL></Representation>'
        "</AdaptationSet></Period></MPD>"
    )
    return {
        "hls": playlist.format(uri),
        "hls-relative": playlist.format(name),
        "hls-web": playlist.format(web),
        "hls-subfile": playlist.format(f"subfile,,start,0,end,99,,:{secret}"),
        "concat": f"ffconcat version 1.0\nfile '{name}'\n",
        "concat-absolute": f"ffconcat version 1.0\nfile '{secret}'\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        f"m=audio {port} RTP/AVP 0\n",
        "dash": manifest.format(uri),
        "dash-web": manifest.format(web),
        "asx": f'<asx version="3.0"><entry><ref href="{uri}"/></entry></asx>',
        "ram": f"rtsp://127.0.0.1:{port}/a\n",
        "m3u": f"{secret}\n{web}\n",
        "lavfi": f"amovie={secret}",
        "smooth": f"<SmoothStreamingMedia><Url>{uri}</Url></SmoothStreamingMedia>",
    }


def test_texts_that_name_other_files(tmp_path, secret, server):
    paths = []
    for kind, text in references(secret, server.getsockname()[1]).items():
        for extension in ("wav", "mp3", "m3u8"):
            paths.append(tmp_path / f"{kind}.{extension}")
            paths[-1].write_text(text)
    lines, _ = read_in_child(*paths)
    assert all(line.startswith("refused") for line in lines), lines


def atom(name: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), name) + body


def quicktime(reference: bytes, samples: int, chunk: int, size=4, codec=b"sowt") -> bytes:
    """Return a 16-bit stereo MOV whose samples are where ``reference`` (a dref entry) points."""
    full = bytes(4)
    head = atom(b"mvhd", full, bytes(8), struct.pack(">II", 44100, samples), bytes(80))
    track = atom(b"tkhd", b"\0\0\0\7", bytes(8), struct.pack(">III", 1, 0, samples), bytes(60))
    media = atom(b"mdhd", full, bytes(8), struct.pack(">II", 44100, samples), bytes(4))
    handler = atom(b"hdlr", full, b"mhlrsoun", bytes(13))
    data = atom(b"dinf", atom(b"dref", full, struct.pack(">I", 1), reference))
    sound = struct.pack(">6xH8xHHHHI", 1, 2, 16, 0, 0, 44100 << 16)
    tables = (
        atom(b"stsd", full, struct.pack(">I", 1), atom(codec, sound)),
        atom(b"stts", full, struct.pack(">III", 1, samples, 1 if codec == b"sowt" else 1024)),
        atom(b"stsc", full, struct.pack(">IIII", 1, 1, chunk, 1)),
        atom(b"stsz", full, struct.pack(">II", size, samples)),
        atom(b"stco", full, struct.pack(">II", 1, 44)),
    )
    information = atom(b"minf", atom(b"smhd", bytes(8)), data, atom(b"stbl", *tables))
    movie = atom(b"moov", head, atom(b"trak", track, atom(b"mdia", media, handler, information)))
    return atom(b"ftyp", b"qt  ", bytes(4), b"qt  ") + movie


def replace_atom(movie: bytes, old: bytes, new: bytes) -> bytes:
    """Replace an atom by a larger one, and adjust the sizes of those that contain it."""
    at = movie.index(old)
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        start = movie.index(name) - 4
        size = int.from_bytes(movie[start : start + 4], "big") + len(new) - len(old)
        movie = movie[:start] + struct.pack(">I", size) + movie[start + 4 :]
    return movie[:at] + new + movie[at + len(old) :]


def test_a_mov_whose_samples_are_in_another_file(tmp_path, secret):
    place, name = str(secret).encode(), secret.name.encode()
    alias = struct.pack(">4xHHH", 150 + len(place), 2, 0) + bytes([4]) + b"disk".ljust(27, b"\0")
    alias += bytes(12) + bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16)
    alias += struct.pack(">HH", 1, 1) + bytes(16)
    for kind in (18, 2):
        alias += struct.pack(">HH", kind, len(place)) + place + b"\0" * (len(place) % 2)
    alias += struct.pack(">HH", 0xFFFF, 0)
    entries = {
        "alis": atom(b"alis", bytes(4), alias),
        "url": atom(b"url ", bytes(4), secret.as_uri().encode() + b"\0"),
    }
    paths = []
    for kind, entry in entries.items():
        paths.append(tmp_path / f"{kind}.mov")
        paths[-1].write_bytes(quicktime(entry, 1000, 1000))
    lines, _ = read_in_child(*paths)
    assert "read 1000" not in lines


def test_a_mov_whose_samples_are_in_itself(tmp_path, make):
    path = tmp_path / "a.mov"
    itself = atom(b"url ", b"\0\0\0\1")
    path.write_bytes(quicktime(itself, 1000, 1000) + atom(b"mdat", bytes(4000)))
    assert make.read(path).shape == (2, 1000)


@pytest.mark.parametrize("samples", [10**6, 10**8, 2**31 - 1])
@pytest.mark.parametrize(("size", "codec"), [(1, b"sowt"), (4, b"sowt"), (1, b"mp4a")])
def test_an_mp4_that_claims_billions_of_samples(tmp_path, samples, size, codec):
    path = tmp_path / "bomb.m4a"
    itself = atom(b"url ", b"\0\0\0\1")
    path.write_bytes(quicktime(itself, samples, samples, size, codec) + atom(b"mdat", bytes(4000)))
    _, memory = read_in_child(path)
    assert memory < 200


def test_an_mp4_that_claims_billions_of_samples_in_chunks(tmp_path):
    itself = atom(b"url ", b"\0\0\0\1")
    movie = quicktime(itself, 2**31 - 1, 2**31 - 1)
    chunks = struct.pack(">I4s4sI", 16 + 400, b"stco", bytes(4), 100) + struct.pack(">I", 44) * 100
    one = atom(b"stco", bytes(4), struct.pack(">II", 1, 44))
    assert one in movie
    path = tmp_path / "bomb.mov"
    path.write_bytes(replace_atom(movie, one, chunks))
    lines, memory = read_in_child(path)
    assert lines[0].startswith("refused")
    assert memory < 200


def test_an_mp4_that_claims_billions_of_samples_in_a_fragment(tmp_path, songs):
    run = struct.pack(">II", 0, 2**31 - 1)  # all samples have the default size and duration
    header = struct.pack(">IIIII", 0x38, 1, 1024, 1, 0)
    fragment = atom(
        b"moof", atom(b"mfhd", bytes(8)), atom(b"traf", atom(b"tfhd", header), atom(b"trun", run))
    )
    path = tmp_path / "bomb.mp4"
    path.write_bytes(songs["fragments.mp4"].read_bytes() + fragment + atom(b"mdat", bytes(100)))
    lines, memory = read_in_child(path)
    assert lines[0].startswith("refused")
    assert memory < 200


@pytest.mark.parametrize("name", ["id3", "flac"])
def test_a_giant_cover(tmp_path, make, songs, name):
    picture = make.png_bytes() + bytes(30_000_000)
    if name == "id3":
        frame = b"\0image/png\0\3\0" + picture
        size = len(frame) + 10

        def synchsafe(n):
            return bytes((n >> shift) & 0x7F for shift in (21, 14, 7, 0))

        head = b"ID3\4\0\0" + synchsafe(size) + b"APIC" + synchsafe(len(frame)) + b"\0\0"
        content = head + frame + songs["a.mp3"].read_bytes()
    else:
        block = struct.pack(">II", 3, 9) + b"image/png" + bytes(20)
        picture = picture[: (1 << 24) - 1 - 4 - len(block)]
        block += struct.pack(">I", len(picture)) + picture
        song = songs["a.flac"].read_bytes()
        content = song[:4] + song[4:42] + b"\6" + struct.pack(">I", len(block))[1:] + block
        content += song[42:]
    path = tmp_path / f"song.{name}"
    path.write_bytes(content)
    file = AudioFile(path)
    assert file.cover is None
    assert "too large to be copied" in file.warnings[0]
    assert sum(block.shape[1] for block in file.blocks()) > 80_000


def test_giant_tags_are_dropped(tmp_path, make):
    tags = {f"key{n}": "x" for n in range(1000)} | {"lyrics": "la" * 100_000, "title": "T"}
    path = make.written(tmp_path / "a.flac", make.music(1000), OutputFormat("flac"), tags=tags)
    read = AudioFile(path).tags
    assert len(read) <= 200
    assert max(len(text) for text in read.values()) <= 50_000
