"""Namespaces: one network and one process-id namespace per cluster, and a way to join them.

Needs root, or a kernel that gives unprivileged users a user namespace. Single-threaded by necessity: the
kernel refuses a user namespace to a process with threads.
"""

import ctypes
import os
from collections.abc import Sequence

from e2e.localcluster.errors import LocalClusterError
from e2e.localcluster.layout import POD_NETWORK

CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
LOCAL_TABLE = 255
HOST_SCOPE = 254

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare() -> None:
    """Give this process a network namespace, and its next children a process-id namespace, of their own.

    The next child becomes process 1 of the latter: when it dies, however it dies, the kernel kills all that
    was started below it, and the network namespace goes with them. That is why nothing can stay behind.
    """
    uid, gid = os.geteuid(), os.getegid()
    wanted = CLONE_NEWNET | CLONE_NEWPID
    if uid == 0:
        try:
            _check(_libc.unshare(wanted), "unshare")
        except OSError:
            pass  # root of a container without CAP_SYS_ADMIN may still be allowed a user namespace
        else:
            return
    try:
        _check(_libc.unshare(CLONE_NEWUSER | wanted), "unshare")
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    except OSError as error:
        raise LocalClusterError(
            f"this machine allows no network namespace ({error.strerror or error}): run as root, or allow "
            "unprivileged user namespaces (sysctl user.max_user_namespaces above 0 and "
            "kernel.apparmor_restrict_unprivileged_userns=0; in a container, CAP_SYS_ADMIN)"
        ) from error


def configure_network() -> None:
    """Bring up the namespace's loopback and make every address of the pod network local to it."""
    from pyroute2 import IPRoute

    with IPRoute() as routes:
        (loopback,) = routes.link_lookup(ifname="lo")
        routes.link("set", index=loopback, state="up")
        routes.route("add", dst=POD_NETWORK, oif=loopback, type="local", table=LOCAL_TABLE, scope=HOST_SCOPE)


def own_host_pid() -> int:
    """This process's id as the host counts: /proc is still the host's."""
    return int(os.readlink("/proc/self"))


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends."""
    _check(_libc.prctl(PR_SET_PDEATHSIG, 9, 0, 0, 0), "prctl")


def enter(pid: int) -> None:
    """Join the namespaces of process `pid`; children started afterwards live in its process-id namespace."""
    try:
        for kind, flag in (("user", CLONE_NEWUSER), ("net", CLONE_NEWNET), ("pid", CLONE_NEWPID)):
            there = f"/proc/{pid}/ns/{kind}"
            if os.stat(there).st_ino == os.stat(f"/proc/self/ns/{kind}").st_ino:
                continue  # joining one's own user namespace is an error
            descriptor = os.open(there, os.O_RDONLY | os.O_CLOEXEC)
            _check(_libc.setns(descriptor, flag), f"setns {kind}")
            os.close(descriptor)
    except OSError as error:
        raise LocalClusterError(
            f"cannot join the cluster's namespace ({error.strerror or error}): "
            "call as the user who started the cluster, while it is up"
        ) from error


def run_inside(pid: int, command: Sequence[str], environment: dict[str, str]) -> int:
    """Run a command in the namespaces of `pid`, on this process's terminal; returns its exit status."""
    enter(pid)
    child = os.fork()
    if child == 0:
        try:
            die_with_parent()
            os.execvpe(command[0], list(command), environment)
        except OSError as error:
            os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        os._exit(127)
    while True:
        try:
            _, status = os.waitpid(child, 0)
            return os.waitstatus_to_exitcode(status)
        except KeyboardInterrupt:
            continue  # the terminal sent it to the command as well, which decides
