"""Downloads that are checked, continued after an interruption, and kept in one place that a whole class can share.

pooch (https://www.fatiando.org/pooch) verifies checksums and moves a file into place only when it is right; what it lacks is
continuing a broken download, so `Resume` is a downloader for it that asks for the missing bytes (HTTP Range, RFC 9110 §14).
"""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlparse

import pooch
import requests
from tqdm.auto import tqdm

ATTEMPTS = 5  # a connection that breaks this often in a row without a new byte is given up
CHUNK_BYTES = 1 << 16
TIMEOUT_S = 30


def cache() -> Path:
    """The folder of downloaded and generated data: LABKIT_DATA, or the user's cache folder. It need not exist yet."""
    return Path(os.environ.get("LABKIT_DATA") or pooch.os_cache("labkit")).expanduser()


@contextmanager
def storing(path: Path):
    """Makes the folder of `path`; turns a full disk or a folder that cannot be written into one sentence (ValueError)."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except requests.RequestException:  # an OSError too, but about the network
        raise
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(f"cannot write {path} ({reason}); free space, or point LABKIT_DATA at another folder") from None


def fetch(url: str, sha256: str | None, *, offline: str = "", progress: bool = True) -> Path:
    """The file at `url`, in the cache; downloaded when it is not there or not what `sha256` says.

    An interrupted download is continued by the next call. Without a published `sha256` nothing is continued, and the first
    download's own checksum is kept beside the file. `offline` names what to use without a network.
    Raises ValueError with one sentence: no network, wrong checksum, full disk.
    """
    path = cache() / unquote(Path(urlparse(url).path).name)
    own = path.with_name(path.name + ".sha256")
    part = path.with_name(path.name + ".part")
    by_hand = f"put the file into {cache()} by hand" + (f", or use {offline}, which needs no network" if offline else "")
    pooch.get_logger().setLevel("WARNING")
    with storing(path):
        if sha256 is None and own.exists():
            sha256 = own.read_text().strip()
        elif sha256 is None:
            part.unlink(missing_ok=True)
        try:
            pooch.retrieve(url, sha256 and f"sha256:{sha256}", path.name, path.parent, downloader=Resume(part, progress))
        except requests.RequestException as error:
            raise ValueError(f"{url} cannot be downloaded ({_reason(error)}); check the network and try again, {by_hand}") from None
        except ValueError:  # pooch's word for another checksum; it has deleted what it fetched
            raise ValueError(f"{url} is not the published file: its checksum differs; try again, {by_hand}") from None
        if not own.exists() and sha256 is None:
            own.write_text(pooch.file_hash(str(path)) + "\n")
    return path


class Resume:
    """A pooch downloader that collects a file in `part`, across broken connections and across runs."""

    def __init__(self, part: Path, progress: bool = True):
        self.part = part
        self.progress = progress

    def __call__(self, url: str, output_file: str, _pooch, check_only: bool = False) -> None:
        failures = 0
        while True:
            before = self._have()
            try:
                self._continue(url)
                break
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
                failures = 0 if self._have() > before else failures + 1
                if failures == ATTEMPTS or (failures and not before):
                    raise
        os.replace(self.part, output_file)

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _continue(self, url: str) -> None:
        """One request for the bytes that are missing. A server that sends everything anyway (200) starts the file anew."""
        have = self._have()
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
            if answer.status_code == 416:  # nothing behind `have`: whole already, or not this file; the checksum will tell
                return
            answer.raise_for_status()
            have = have if answer.status_code == 206 else 0
            total = have + int(answer.headers.get("Content-Length", 0))
            bar = tqdm(total=total or None, initial=have, unit="B", unit_scale=True, desc=self.part.stem, disable=not self.progress)
            with open(self.part, "ab" if have else "wb") as file, bar:
                for chunk in answer.iter_content(CHUNK_BYTES):
                    file.write(chunk)
                    bar.update(len(chunk))
            if self._have() < total:
                raise requests.ConnectionError(f"{total - self._have()} bytes are missing")


def unpack(archive: Path, folder: Path, *, progress: bool = True) -> Path:
    """`folder` with the content of a tar archive. It appears whole or not at all, and is not unpacked again.

    Raises ValueError for a damaged archive, a member that points outside the folder, or a full disk.
    """
    if folder.is_dir():
        return folder
    with storing(folder):
        working = Path(tempfile.mkdtemp(dir=folder.parent, prefix=folder.name + ".part"))
        try:
            with tarfile.open(archive) as members:
                bar = tqdm(members, desc=f"unpacking {archive.name}", unit=" files", disable=not progress)
                members.extractall(working, members=bar, filter="data")
            os.chmod(working, 0o755)  # mkdtemp's 0700 would keep a class out
            os.rename(working, folder)
        except (tarfile.TarError, EOFError) as error:
            raise ValueError(f"{archive} cannot be unpacked ({error}); delete it and download it again") from None
        except OSError:
            if not folder.is_dir():  # else another process was faster, and its result is as good
                raise
        finally:
            shutil.rmtree(working, ignore_errors=True)
    return folder


def _reason(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"the server answers {error.response.status_code}"
    return "the server is too slow" if isinstance(error, requests.Timeout) else "no connection"
