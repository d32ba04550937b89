"""Makes bytes of a Realm's migration stream, in the place of others.

What an Item is: scripts/realm_stream.py.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import struct
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.realpath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'scripts'))

from realm_stream import FRAME, START_TOKEN  # noqa: E402


def frame(records, kind=None):
    """A frame's bytes, for records as in Item."""
    body = b''.join(data for _, data in records)
    if kind is None:
        kind = 2 if records and records[0][0] == 'memory' else 1
    return FRAME.pack(kind, 0, len(body)) + body


def start_section(item, record):
    """The section realm-start with another record in its place."""
    head = len(item.data) - 5 - START_TOKEN - 4
    return (item.data[:head] + struct.pack('>I', len(record))
            + record[:START_TOKEN].ljust(START_TOKEN, b'\0')
            + item.data[-5:])
