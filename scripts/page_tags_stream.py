"""Memory tags in a captured stream, for analyze-migration.py.

The format: docs/devel/mte-migration.rst.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import collections

NONE, UNIFORM, RUNS, RAW = range(4)
KINDS = {NONE: 'none', UNIFORM: 'uniform', RUNS: 'runs', RAW: 'raw'}


class PageTagsSection:
    """The section "mte-tags" as analyze-migration.py wants a section."""

    blocks = {}                 # name: bytes of tags a page
    counts = collections.Counter()

    def __init__(self, file, version_id, _arguments, section_key):
        if version_id != 1:
            raise ValueError(f'mte-tags: unknown version {version_id}')
        self.file, self.section_key = file, section_key
        self.data = collections.OrderedDict()
        PageTagsSection.counts.clear()
        PageTagsSection.blocks.clear()

    def read(self):
        """The announcement, or the end."""
        if self.data:
            self.data['records'] = self.file.read64()
            self.data['kinds'] = {KINDS[kind]: number for kind, number
                                  in sorted(self.counts.items())}
            return
        for name in 'level', 'tag-bytes', 'page-bytes', 'reserved':
            self.data[name] = self.file.read32()
        for _ in range(self.file.read8()):
            self.blocks[self.file.readstr()] = self.data['tag-bytes']
        self.data['blocks'] = list(self.blocks)

    def getDict(self):          # pylint: disable=invalid-name
        return self.data


def skip_tags(file, block):
    """Skips the record that follows a page of a block that has tags."""
    if block not in PageTagsSection.blocks:
        return
    kind = file.read8()
    if kind not in KINDS:
        raise ValueError(f'{block}: a record of tags of kind {kind}')
    PageTagsSection.counts[kind] += 1
    size = (PageTagsSection.blocks[block] if kind == RAW
            else file.read8() * 2 if kind == RUNS else kind)
    if size:
        file.readvar(size)
