"""Downloads against a server on this machine that breaks connections, ignores ranges and alters files."""

import hashlib
import http.server
import io
import os
import re
import tarfile
import threading

import numpy as np
import pytest

from labkit.data import download

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    content, cut_after, ranges, status = CONTENT, None, True, 200

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/some/file.bin"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        if server.status != 200:
            return self.send_error(server.status)
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and server.ranges else 0
        if start >= len(server.content):
            return self.send_error(416)
        body = server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.cut_after])  # and the connection closes: the rest never comes

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path / "cache"))
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def fetch(server, sha256=SHA256):
    return download.fetch(server.url, sha256, progress=False)


def names():
    return sorted(file.name for file in download.cache().iterdir())


def test_a_connection_that_breaks_is_continued(server):
    server.cut_after = 100_000
    assert fetch(server).read_bytes() == CONTENT
    first, *later = server.asked
    assert first is None and len(later) >= 2 and all(int(wanted[6:-1]) >= 50_000 for wanted in later)
    assert names() == ["file.bin"]
    fetch(server)
    assert len(server.asked) == 1 + len(later)  # it is there and right: nobody is asked


def test_a_later_run_continues_an_earlier_one(server):
    server.cut_after, part = 50_000, download.cache() / "file.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT[:250_000])
    assert fetch(server).read_bytes() == CONTENT and server.asked == ["bytes=250000-"]
    (download.cache() / "file.bin").rename(part)  # everything was fetched, but the last step did not happen
    assert fetch(server).read_bytes() == CONTENT


def test_a_server_without_ranges_starts_anew(server):
    server.ranges = False
    download.cache().mkdir(parents=True)
    (download.cache() / "file.bin.part").write_bytes(b"something else")
    assert fetch(server).read_bytes() == CONTENT


def test_an_altered_file_is_never_used(server):
    fetch(server).write_bytes(b"altered")
    assert fetch(server).read_bytes() == CONTENT
    server.content = b"altered" + CONTENT
    fetch_again = fetch(server)
    assert fetch_again.read_bytes() == CONTENT
    fetch_again.unlink()
    with pytest.raises(ValueError, match="checksum differs"):
        fetch(server)
    assert names() == []


def test_a_foreign_part_is_thrown_away_in_the_end(server):
    download.cache().mkdir(parents=True)
    (download.cache() / "file.bin.part").write_bytes(b"x" * 1000)
    with pytest.raises(ValueError, match="checksum differs"):
        fetch(server)
    assert fetch(server).read_bytes() == CONTENT


def test_without_a_checksum_the_first_download_counts(server):
    path = fetch(server, None)
    assert (download.cache() / "file.bin.sha256").read_text().strip() == SHA256
    path.write_bytes(b"altered")
    assert fetch(server, None).read_bytes() == CONTENT


def test_no_network_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    with pytest.raises(ValueError) as error:
        download.fetch("http://127.0.0.1:9/a%20b.zip", SHA256, offline='load("synthetic")', progress=False)
    for part in ("http://127.0.0.1:9/a%20b.zip cannot be downloaded (no connection)", str(tmp_path), 'load("synthetic")'):
        assert part in str(error.value)
    assert "\n" not in str(error.value) and names() == []


def test_the_server_has_no_such_file(server):
    server.status = 404
    with pytest.raises(ValueError, match="the server answers 404"):
        fetch(server)
    assert len(server.asked) == 1


def test_a_disk_that_is_full_or_read_only(server, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(download.os, "replace", full)
    with pytest.raises(ValueError, match=r"No space left on device\); free space, or point LABKIT_DATA"):
        fetch(server)
    blocked = download.cache() / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("LABKIT_DATA", str(blocked))
    for sha256 in (SHA256, None):
        with pytest.raises(ValueError, match=r"cannot write .*; free space, or point LABKIT_DATA"):
            fetch(server, sha256)


def tar_with(path, **members):
    with tarfile.open(path, "w:gz") as file:
        for name, content in members.items():
            member = tarfile.TarInfo(name.replace("__", "/"))
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return path


def test_unpacks_whole_or_not_at_all(tmp_path):
    archive = tar_with(tmp_path / "a.tar.gz", yes__a=b"1", no__b=b"22")
    folder = download.unpack(archive, tmp_path / "out", progress=False)
    assert (folder / "no" / "b").read_bytes() == b"22"
    (folder / "no" / "b").write_bytes(b"mine")
    assert (download.unpack(archive, folder, progress=False) / "no" / "b").read_bytes() == b"mine"
    archive.write_bytes(archive.read_bytes()[:60])
    with pytest.raises(ValueError, match="cannot be unpacked"):
        download.unpack(archive, tmp_path / "broken", progress=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tar.gz", "out"]


def test_a_member_that_climbs_out_is_refused(tmp_path):
    archive = tar_with(tmp_path / "a.tar.gz", **{"good": b"1", "..__evil": b"2"})
    with pytest.raises(ValueError, match="outside"):
        download.unpack(archive, tmp_path / "deep" / "out", progress=False)
    assert not (tmp_path / "deep" / "evil").exists() and list((tmp_path / "deep").iterdir()) == []


def test_cache_is_where_labkit_data_says(monkeypatch, tmp_path):
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    assert download.cache() == tmp_path
    monkeypatch.delenv("LABKIT_DATA")
    assert download.cache().name == "labkit"
