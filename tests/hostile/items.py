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

from realm_stream import (EPOCH_COUNT, FRAME, FRAME_EPOCH,  # noqa: E402
                          FRAME_MEMORY, FRAME_STATE, START_TOKEN)


def frame(records, kind=None):
    """A frame's bytes, for records as in Item."""
    body = b''.join(data for _, data in records)
    first = records[0][0] if records else None
    if kind is None:
        kind = {'memory': FRAME_MEMORY,
                'epoch': FRAME_EPOCH}.get(first, FRAME_STATE)
    if kind == FRAME_EPOCH:
        body = EPOCH_COUNT.pack(0) + body       # none on channels
    return FRAME.pack(kind, 0, len(body)) + body


def start_section(item, record):
    """The section realm-start with another record in its place."""
    head = len(item.data) - 5 - START_TOKEN - 4
    return (item.data[:head] + struct.pack('>I', len(record))
            + record[:START_TOKEN].ljust(START_TOKEN, b'\0')
            + item.data[-5:])
