#!/usr/bin/env python3
"""An ordinary guest's MTE tags migrate with their pages: the two ways.

SPDX-License-Identifier: GPL-2.0-or-later
"""

from tags_case import TagsTest


class Quick(TagsTest):

    def test_main_channel(self):
        source, dest = self.boot_checked(), self.waiting()
        self.both(source, dest, ['return-path'])
        self.send(source, dest)
        self.assert_tags_are_right(dest)

    def test_multifd(self):
        source, dest = self.boot_checked(), self.waiting()
        self.both(source, dest, ['return-path', 'multifd'])
        self.send(source, dest)
        self.assert_tags_are_right(dest)


if __name__ == '__main__':
    TagsTest.main()
