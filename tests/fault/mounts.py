"""Small disks that can be filled. They need root and a kernel that lets it mount."""

import errno
import os
import subprocess

BALLAST = "ballast"
CHUNK = 1024 * 1024


class Refused(Exception):
    """Nothing can be mounted here."""


def run(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode != 0:
        raise Refused(f"{' '.join(map(str, words))}: {done.stderr.strip()}")


def mount_memory(place, megabytes):
    """For files without attributes of their own."""
    run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "millrace-test", place)


def mount_disk(image, place, megabytes):
    """ext4 in a file: an S3 server on files keeps extended attributes, which tmpfs may lack."""
    with image.open("wb") as file:
        file.truncate(megabytes * CHUNK)
    run("mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", image)
    run("mount", "-o", "loop", image, place)


def unmount(place):
    """Also when something still stands in it."""
    subprocess.run(["umount", "--lazy", place], check=False, capture_output=True)


def fill(place):
    """Not a byte is left."""
    fd = os.open(place / BALLAST, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    size = CHUNK
    try:
        while size:
            try:
                os.write(fd, bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                size //= 2
    finally:
        os.close(fd)
    return f"{place} is full"


def empty(place):
    (place / BALLAST).unlink(missing_ok=True)
