#!/usr/bin/python3
"""Prints the version of this fork, as in 0.1, from the newest heading of
CHANGELOG.md, which alone has it.

What is not released says so, in a way that Debian's tools sort before the
release: 0.1~unreleased.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import re
import sys
from pathlib import Path

CHANGELOG = Path(__file__).resolve().parent.parent / 'CHANGELOG.md'
HEADING = re.compile(r'## Realms (\d+(?:\.\d+)+), '
                     r'(unreleased|\d{4}-\d\d-\d\d) \(QEMU \d+\.\d+\)')


def newest(text):
    """(version, date or None) of the newest heading of a CHANGELOG.md."""
    heading = next((line for line in text.splitlines()
                    if line.startswith('## ')), 'nothing')
    match = HEADING.fullmatch(heading)
    if not match:
        raise ValueError(f'CHANGELOG.md begins with "{heading}"; write '
                         '"## Realms 0.1, 2026-01-31 (QEMU 10.0)", or '
                         '"unreleased" instead of the date')
    version, date = match.groups()
    if date == 'unreleased':
        return f'{version}~{date}', None
    return version, date


def release():
    return newest(CHANGELOG.read_text(encoding='utf-8'))


if __name__ == '__main__':
    try:
        print(release()[0])
    except ValueError as err:
        sys.exit(f'package/release.py: {err}')
