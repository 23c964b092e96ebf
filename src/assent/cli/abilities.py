"""What this machine offers for keeping tools apart from it. Each is tried, not only looked for."""

import ctypes
import errno
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# Linux gives this call the same number on every machine that Assent runs on.
LANDLOCK_CREATE_RULESET = 444
LANDLOCK_TELL_VERSION = 1
SECCOMP_ACTIONS = Path("/proc/sys/kernel/seccomp/actions_avail")
# A container tool whose service does not answer waits for it; nobody wants to wait longer than this (seconds).
PATIENCE = 5.0
NEW_USER_NAMESPACE = (
    "import ctypes, os, sys; libc = ctypes.CDLL(None, use_errno=True); "
    "sys.exit(os.strerror(ctypes.get_errno()) if libc.unshare(0x10000000) else 0)"
)


@dataclass(frozen=True, slots=True)
class Ability:
    """One way to keep a tool apart, whether it works here, and how we know."""

    name: str
    available: bool
    detail: str


def abilities() -> list[Ability]:
    """All of them, in the order from light to heavy."""
    return [
        _landlock(),
        _seccomp(),
        _user_namespaces(),
        _program("bubblewrap", "bwrap", "--ro-bind", "/", "/", "--unshare-all", "true"),
        _program("docker", "docker", "info"),
        _program("podman", "podman", "info"),
        _program("nerdctl", "nerdctl", "info"),
    ]


def _landlock() -> Ability:
    if sys.platform != "linux":
        return _needs_linux("landlock")
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(LANDLOCK_TELL_VERSION))
    if version > 0:
        return Ability("landlock", True, f"version {version}")
    reasons = {errno.ENOSYS: "the kernel has none", errno.EOPNOTSUPP: "switched off when the machine started"}
    code = ctypes.get_errno()
    return Ability("landlock", False, reasons.get(code, os.strerror(code)))


def _seccomp() -> Ability:
    if sys.platform != "linux":
        return _needs_linux("seccomp")
    try:
        actions = SECCOMP_ACTIONS.read_text("ascii").split()
    except OSError as error:
        return Ability("seccomp", False, f"the kernel does not tell of any filters ({error.strerror})")
    return Ability("seccomp", "errno" in actions, f"the kernel can {', '.join(actions)}")


def _user_namespaces() -> Ability:
    if sys.platform != "linux":
        return _needs_linux("user namespaces")
    return _tried("user namespaces", [sys.executable, "-I", "-S", "-c", NEW_USER_NAMESPACE])


def _program(name: str, program: str, *arguments: str) -> Ability:
    path = shutil.which(program)
    if path is None:
        return Ability(name, False, f"there is no program {program} on the PATH")
    return _tried(name, [path, *arguments])


def _tried(name: str, command: list[str]) -> Ability:
    try:
        tried = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Ability(name, False, f"{command[0]} did not answer within {PATIENCE:g} s")
    except OSError as error:
        return Ability(name, False, f"{command[0]} cannot be started: {error.strerror}")
    if tried.returncode == 0:
        return Ability(name, True, "tried, and it works")
    said = next((line.strip() for line in reversed(tried.stderr.splitlines()) if line.strip()), "it did not say why")
    return Ability(name, False, f"tried, and it failed: {said}")


def _needs_linux(name: str) -> Ability:
    return Ability(name, False, f"needs Linux, and this is {sys.platform}")
