"""Programs without an operating system, in the forms that QEMU loads.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import gzip
import struct

# Where QEMU puts a flat image for -kernel.
FLAT_BASE = 0x40080000


def flat_image(path):
    """Where an ELF file begins in memory, and its bytes from there on; its
    entry is its first byte."""
    with open(path, 'rb') as file:
        elf = file.read()
    table, size, count = struct.unpack_from('<Q14xHH', elf, 0x20)
    loads = []
    for n in range(count):
        kind, _, offset, base, _, in_file, in_memory, _ = struct.unpack_from(
            '<2I6Q', elf, table + n * size)
        if kind == 1:
            loads.append((base, elf[offset:offset + in_file], in_memory))
    start = min(base for base, _, _ in loads)
    image = bytearray(max(base + length for base, _, length in loads) - start)
    for base, data, _ in loads:
        image[base - start:base - start + len(data)] = data
    return start, bytes(image) + bytes(-len(image) % 8)


def copier(to, size):
    """A64 code that copies what is behind it, and goes there."""
    return struct.pack(
        '<12I', 0x10000180,                     # adr  x0, behind
        0xd2a00001 | (to >> 16) << 5,           # movz x1, #to, lsl #16
        0xd2800002 | (size & 0xffff) << 5,      # movz x2, #size
        0xf2a00002 | (size >> 16) << 5,         # movk x2, #size, lsl #16
        0xaa0103e3,                             # mov  x3, x1
        0xf8408404,                             # ldr  x4, [x0], #8
        0xf8008464,                             # str  x4, [x3], #8
        0xf1002042,                             # subs x2, x2, #8
        0x54ffffa1,                             # b.ne the ldr
        0xd61f0020,                             # br   x1
        0xd503201f, 0xd503201f)                 # nop, nop: behind is 0x30


def copied(path):
    """The flat image of an ELF file that runs from wherever it is."""
    base, image = flat_image(path)
    return copier(base, len(image)) + image


def linux_image(program):
    """The header of an arm64 Image (Linux's booting.rst), and the program."""
    header = struct.pack('<2I6Q4sI', 0x14000010, 0,     # b behind the header
                         0, 64 + len(program), 0, 0, 0, 0, b'ARM\x64', 0)
    return header + program


def efi_zboot(image):
    """A compressed kernel that unpacks itself under UEFI, as far as QEMU looks
    at it."""
    payload = gzip.compress(image)
    return struct.pack('<2s2x4s2I8x32s4sI', b'MZ', b'zimg', 64, len(payload),
                       b'gzip', b'\xcd\x23\x82\x81', 0) + payload
