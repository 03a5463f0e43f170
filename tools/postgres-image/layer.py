"""Builds one layer as a tar in memory, with owner, mode and time set by us and not by the files' own.

Entries come out sorted, each after the directories above it, so the order in which they are added does not matter.
"""

import io
import os
import tarfile
from pathlib import PurePosixPath


class Layer:
    """What goes into one layer: path in the image, without a leading slash, to entry."""

    def __init__(self):
        self._entries = {}

    def __contains__(self, path):
        return path in self._entries

    def directory(self, path, mode=0o755, owner=0):
        self._entries[path] = (self._info(path, tarfile.DIRTYPE, mode, owner), None)

    def symlink(self, path, target):
        info = self._info(path, tarfile.SYMTYPE, 0o777, 0)
        info.linkname = target
        self._entries[path] = (info, None)

    def file(self, path, data, mode=0o644):
        info = self._info(path, tarfile.REGTYPE, mode, 0)
        info.size = len(data)
        self._entries[path] = (info, data)

    def copy(self, path, source):
        """Adds a file or symlink of the host's as it is; only the executable bit of its mode is kept."""
        if os.path.islink(source):
            self.symlink(path, os.readlink(source))
        else:
            with open(source, "rb") as file:
                self.file(path, file.read(), 0o755 if os.access(source, os.X_OK) else 0o644)

    def tar(self):
        for path in list(self._entries):
            for parent in PurePosixPath(path).parents:
                if str(parent) != "." and str(parent) not in self._entries:
                    self.directory(str(parent))
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for path in sorted(self._entries):
                info, data = self._entries[path]
                archive.addfile(info, None if data is None else io.BytesIO(data))
        return buffer.getvalue()

    @staticmethod
    def _info(path, kind, mode, owner):
        info = tarfile.TarInfo(path)
        info.type, info.mode, info.uid, info.gid = kind, mode, owner, owner
        return info
