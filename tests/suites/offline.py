"""Runs commands where nothing but this machine can be reached, and tells who tried.

`python offline.py FOLDER` reads commands from stdin, a JSON list of lists, runs one after the other and writes
FOLDER/report.json.  Three witnesses, none of which needs more than Python on Linux:

- every Python process below tells of each address it resolves, connects to or sends to, and what it has told Great
  Expectations when it imports it (an audit hook that a ``sitecustomize`` module puts in);
- where the kernel lets us, all of it runs in a network of its own that holds only the loopback; its counters then tell
  of each attempt to leave, of whatever language the process is;
- the tables of open sockets are looked at all the time, which sees other languages' where it does not.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1

HOOK = """
import os, sys

def _tell(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        said = [event, repr(arguments[1] if event != "socket.sendmsg" else arguments[1:2])]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        said = [event, repr(arguments[0])]
    elif event == "import" and arguments[0] == "great_expectations":
        said = ["analytics", os.environ.get("GX_ANALYTICS_ENABLED", "")]
    else:
        return
    line = "\\t".join([str(os.getpid()), *said, " ".join(sys.orig_argv).replace("\\n", " ")]) + "\\n"
    log = os.open(os.environ["OFFLINE_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(log, line.encode(errors="replace"))
    os.close(log)

sys.addaudithook(_tell)
"""


def main() -> None:
    folder = Path(sys.argv[1])
    is_apart = _leave_the_network()
    (folder / "hooks").mkdir()
    (folder / "hooks" / "sitecustomize.py").write_text(HOOK, encoding="utf-8")
    log = folder / "asked.tsv"
    log.touch()
    paths = [str(folder / "hooks"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OFFLINE_LOG": str(log)}
    before = _refused_by_the_kernel()
    watch = _Watch()
    done = [
        subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        for command in json.load(sys.stdin)
    ]
    seen = watch.stop()
    report = {
        "is_apart": is_apart,
        "commands": [{"code": one.returncode, "out": one.stdout, "err": one.stderr} for one in done],
        "asked": [line.split("\t") for line in log.read_text(encoding="utf-8").splitlines()],
        "seen": seen,
        "refused_by_the_kernel": _refused_by_the_kernel() - before,
    }
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")


def _leave_the_network() -> bool:
    """Into a network of our own with only the loopback; False where the kernel does not let us."""
    user, group = os.getuid(), os.getgid()
    unshare = ctypes.CDLL(None).unshare
    if unshare(_CLONE_NEWNET) != 0:
        if unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
            return False
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            Path(f"/proc/self/{name}").write_text(text, encoding="ascii")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14x", b"lo", 0)
        _, flags = struct.unpack("16sH14x", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))
    return True


def _refused_by_the_kernel() -> int:
    """How often anything of this network asked for a way out and there was none."""
    names, values = (line.split() for line in _lines("/proc/net/snmp") if line.startswith("Ip:"))
    refused = int(dict(zip(names, values, strict=True))["OutNoRoutes"])
    return refused + sum(
        int(line.split()[1]) for line in _lines("/proc/net/snmp6") if line.startswith("Ip6OutNoRoutes")
    )


class _Watch:
    """Looks at the open sockets fifty times a second, for those of our children with an end beyond the loopback."""

    def __init__(self) -> None:
        self._judged: dict[str, bool] = {}
        self._seen: list[str] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> list[str]:
        """Who it was and where to, as /proc writes addresses."""
        self._stopped.set()
        self._thread.join()
        return self._seen

    def _look(self) -> None:
        while not self._stopped.wait(0.02):
            for table in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
                for line in _lines(f"/proc/self/net/{table}")[1:]:
                    fields = line.split()
                    if not _is_local(fields[2]) and fields[9] not in self._judged:
                        owner = _owner(fields[9])
                        self._judged[fields[9]] = owner is not None
                        if owner is not None:
                            self._seen.append(f"{owner} {table} {fields[2]}")


def _is_local(address: str) -> bool:
    """Addresses are hexadecimal, each group of four bytes the wrong way round: 127.0.0.1 is 0100007F."""
    host = address.partition(":")[0]
    return set(host) == {"0"} or host[-8:].endswith("7F") or host == "00000000000000000000000001000000"


def _owner(inode: str) -> str | None:
    """The process below us that holds the socket."""
    for pid in _descendants(os.getpid()):
        try:
            if any(str(fd.readlink()) == f"socket:[{inode}]" for fd in Path(f"/proc/{pid}/fd").iterdir()):
                return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace").replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return None


def _descendants(root: int) -> list[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            stat = _lines(str(entry / "stat"))
            if stat:
                parents[int(entry.name)] = int(stat[0].rpartition(")")[2].split()[1])
    found, fresh = [], [root]
    while fresh:
        fresh = [pid for pid, parent in parents.items() if parent in fresh]
        found += fresh
    return found


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return []


if __name__ == "__main__":
    main()
