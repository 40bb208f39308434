# SPDX-License-Identifier: GPL-3.0-or-later
"""The pause image, made in memory: one static executable of a few hundred bytes, assembled here, in a tar.

Nothing is pulled and no compiler is needed. The program holds a pod's namespaces: it blocks SIGINT, SIGTERM
and SIGCHLD (a blocked signal reaches PID 1 although PID 1 has no default actions), waits for them, reaps
children and exits on the other two. Given any argument it first moves itself into a network namespace of its
own and drops all capabilities (see `docker.py` for why).

What does not belong here: how the image is loaded or run.
"""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile

REPOSITORY = "navarch/pause"

#: Signals waited for, as a kernel sigset: SIGINT (2), SIGTERM (15), SIGCHLD (17).
_MASK = (1 << 1) | (1 << 14) | (1 << 16)
_SIGCHLD = 17
_CLONE_NEWNET = 0x40000000
_CAPABILITY_V3 = 0x20080522

_BASE = 0x400000
_HEADERS = 64 + 56


class _Program:
    """Code with forward jumps patched in when their label is known."""

    def __init__(self) -> None:
        self.code = bytearray()
        self.labels: dict[str, int] = {}
        self.jumps: list[tuple[int, str, bytes | int]] = []

    def label(self, name: str) -> None:
        self.labels[name] = len(self.code)


def _x86_64() -> bytes:
    """System V start: [rsp] holds argc. Syscall number in rax; arguments rdi, rsi, rdx, r10."""
    p = _Program()

    def emit(text: str) -> None:
        p.code += bytes.fromhex(text)

    def jump(opcode: str, target: str) -> None:
        """A short conditional or unconditional jump: opcode and an 8 bit displacement."""
        emit(opcode)
        p.jumps.append((len(p.code), target, b""))
        p.code.append(0)

    emit("833c2401")  # cmp dword [rsp], 1
    jump("7e", "block")  # jle: no argument, stay in the namespace given
    emit("bf" + struct.pack("<I", _CLONE_NEWNET).hex())  # mov edi, CLONE_NEWNET
    emit("b8" + struct.pack("<I", 272).hex())  # mov eax, unshare
    emit("0f05")  # syscall
    emit("85c0")  # test eax, eax
    jump("75", "fail")  # jnz
    emit("6a006a006a00")  # three times push 0: effective, permitted, inheritable of both halves
    emit("4889e6")  # mov rsi, rsp
    emit("68" + struct.pack("<I", _CAPABILITY_V3).hex())  # push version; the pid above it is 0
    emit("4889e7")  # mov rdi, rsp
    emit("6a7e580f05")  # push 126; pop rax (capset); syscall
    emit("85c0")
    jump("75", "fail")
    p.label("block")
    emit("68" + struct.pack("<I", _MASK).hex())  # push mask
    emit("4889e6")  # mov rsi, rsp
    emit("31d231ff")  # xor edx, edx; xor edi, edi (SIG_BLOCK)
    emit("6a08415a")  # push 8; pop r10
    emit("6a0e580f05")  # push 14; pop rax (rt_sigprocmask); syscall
    p.label("wait")
    emit("4889e7")  # mov rdi, rsp
    emit("31f631d2")  # no siginfo, no timeout
    emit("6a08415a")
    emit("b8" + struct.pack("<I", 128).hex() + "0f05")  # rt_sigtimedwait
    emit("83f811")  # cmp eax, SIGCHLD
    jump("74", "reap")  # je
    emit("85c0")
    jump("78", "wait")  # js: interrupted
    emit("31ff")  # status 0
    emit("6a3c580f05")  # exit
    p.label("fail")
    emit("6a015f6a3c580f05")  # exit(1)
    p.label("reap")
    emit("6a ff 5f 31f6 6a015a 4531d2".replace(" ", ""))  # wait4(-1, NULL, WNOHANG, NULL)
    emit("6a3d580f05")
    emit("85c0")
    jump("7f", "reap")  # jg: one was reaped, look for more
    jump("eb", "wait")  # jmp
    for at, target, _ in p.jumps:
        p.code[at : at + 1] = struct.pack("<b", p.labels[target] - at - 1)
    return bytes(p.code)


def _aarch64() -> bytes:
    """AAPCS64 start: [sp] holds argc. Syscall number in x8; arguments x0 to x3."""
    p = _Program()

    def emit(word: int) -> None:
        p.code += struct.pack("<I", word)

    def mov(register: int, value: int) -> None:
        emit(0xD2800000 | (value & 0xFFFF) << 5 | register)  # movz
        if value >> 16:
            emit(0xF2A00000 | (value >> 16) << 5 | register)  # movk, lsl 16

    def call(number: int) -> None:
        mov(8, number)
        emit(0xD4000001)  # svc 0

    def jump(opcode: int, target: str, shift: int = 5) -> None:
        p.jumps.append((len(p.code), target, shift))
        emit(opcode)

    sp_to = 0x910003E0  # mov xN, sp
    emit(0xF94003E9)  # ldr x9, [sp]
    emit(0xF100053F)  # cmp x9, 1
    jump(0x5400000D, "block")  # b.le
    mov(0, _CLONE_NEWNET)
    call(97)  # unshare
    jump(0x35000000, "fail")  # cbnz w0
    emit(0xD10083FF)  # sub sp, sp, 32
    mov(9, _CAPABILITY_V3)
    emit(0xF90003E9)  # str x9, [sp]: version and pid 0
    for slot in (1, 2, 3):
        emit(0xF9000000 | slot << 10 | 31 << 5 | 31)  # str xzr, [sp, 8 * slot]
    emit(sp_to | 0)
    emit(0x910023E1)  # add x1, sp, 8
    call(91)  # capset
    jump(0x35000000, "fail")
    p.label("block")
    emit(0xD10043FF)  # sub sp, sp, 16
    mov(9, _MASK)
    emit(0xF90003E9)
    mov(0, 0)  # SIG_BLOCK
    emit(sp_to | 1)
    mov(2, 0)
    mov(3, 8)
    call(135)  # rt_sigprocmask
    p.label("wait")
    emit(sp_to | 0)
    mov(1, 0)
    mov(2, 0)
    mov(3, 8)
    call(137)  # rt_sigtimedwait
    emit(0x7100001F | _SIGCHLD << 10)  # cmp w0, SIGCHLD
    jump(0x54000000, "reap")  # b.eq
    emit(0x7100001F)  # cmp w0, 0
    jump(0x5400000B, "wait")  # b.lt: interrupted
    mov(0, 0)
    call(93)  # exit
    p.label("fail")
    mov(0, 1)
    call(93)
    p.label("reap")
    emit(0x92800000)  # mov x0, -1
    mov(1, 0)
    mov(2, 1)  # WNOHANG
    mov(3, 0)
    call(260)  # wait4
    emit(0x7100001F)
    jump(0x5400000C, "reap")  # b.gt: one was reaped, look for more
    jump(0x14000000, "wait", 0)  # b
    for at, target, shift in p.jumps:
        assert isinstance(shift, int)
        (word,) = struct.unpack_from("<I", p.code, at)
        distance = (p.labels[target] - at) // 4
        bits = 26 if shift == 0 else 19
        struct.pack_into("<I", p.code, at, word | (distance & ((1 << bits) - 1)) << shift)
    return bytes(p.code)


#: Machine as the kernel names it -> (ELF e_machine, code).
_MACHINES = {"x86_64": (62, _x86_64), "aarch64": (183, _aarch64)}


def executable(machine: str) -> bytes:
    """A static ELF file for a machine (`platform.machine()`).

    Raises ValueError for one it knows no code for.
    """
    try:
        number, assemble = _MACHINES[machine]
    except KeyError:
        raise ValueError(f"no pause program for machine {machine!r}; known: {', '.join(_MACHINES)}") from None
    code = assemble()
    size = _HEADERS + len(code)
    header = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 2, number, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return header + segment + code


def image(machine: str) -> tuple[str, bytes]:
    """(tag, tar of the root file system).

    The tag is a hash of the content: an image of that tag is this one.
    """
    program = executable(machine)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        entry = tarfile.TarInfo("pause")
        entry.size = len(program)
        entry.mode = 0o755
        tar.addfile(entry, io.BytesIO(program))
    return hashlib.sha256(program).hexdigest()[:12], buffer.getvalue()
