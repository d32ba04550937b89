"""Memory tags in a captured stream, for analyze-migration.py.

The format: docs/devel/mte-migration.rst.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import collections

NONE, UNIFORM, RUNS, RAW = range(4)
OF_ZEROS = 1                    # PAGE_TAGS_OF_ZEROS
KINDS = {NONE: 'none', UNIFORM: 'uniform', RUNS: 'runs', RAW: 'raw'}


class PageTagsSection:
    """The section "mte-tags" as analyze-migration.py wants a section."""

    blocks = {}                 # name: bytes of tags a page
    counts = collections.Counter()      # of (is the page zero, kind)

    def __init__(self, file, version_id, _arguments, section_key):
        if version_id != 2:
            raise ValueError(f'mte-tags: unknown version {version_id}')
        self.file, self.section_key = file, section_key
        self.data = collections.OrderedDict()
        PageTagsSection.counts.clear()
        PageTagsSection.blocks.clear()

    def read(self):
        """The announcement, or the end."""
        if self.data:
            self.data['records'] = self.file.read64()
            for name, zero in ('kinds', False), ('kinds-of-zero-pages', True):
                self.data[name] = {
                    KINDS[kind]: number for (is_zero, kind), number
                    in sorted(self.counts.items()) if is_zero == zero}
            return
        for name in 'level', 'tag-bytes', 'page-bytes', 'variant':
            self.data[name] = self.file.read32()
        for _ in range(self.file.read8()):
            self.blocks[self.file.readstr()] = self.data['tag-bytes']
        self.data['blocks'] = list(self.blocks)

    def getDict(self):          # pylint: disable=invalid-name
        return self.data


def skip_tags(file, block, zero=False):
    """Skips the record that follows a page of a block that has tags."""
    if block not in PageTagsSection.blocks:
        return
    kind = file.read8()
    if kind not in KINDS:
        raise ValueError(f'{block}: a record of tags of kind {kind}')
    PageTagsSection.counts[zero, kind] += 1
    size = (PageTagsSection.blocks[block] if kind == RAW
            else file.read8() * 2 if kind == RUNS else kind)
    if size:
        file.readvar(size)


def skip_tags_of_zeros(file, block, value):
    """Skips the record before the value of a zero page, if @value is the sign
    that there is one; returns the value."""
    if block not in PageTagsSection.blocks:
        return value
    if value != OF_ZEROS:
        PageTagsSection.counts[True, NONE] += 1
        return value
    skip_tags(file, block, zero=True)
    return file.read8()
