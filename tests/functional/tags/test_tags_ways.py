#!/usr/bin/env python3
"""The other ways on which tags migrate with their pages.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os

from tags_case import MIB, Migration, TagsTest, arguments, wait_until

KEY = '0123456789abcdef0123456789abcdef'
# All pages are dirtied by stores of tags alone; of 4096, at least so many are
# while the first round goes on.
TAGS_ONLY = ('realm-check --memory 16 --threads 2 --rate 8 --verify 4 '
             '--tags-only')
RESENT = 512
# Allowed, and without a part in how RAM migrates.
HARMLESS = ['dirty-bitmaps', 'events', 'late-block-activate', 'return-path',
            'switchover-ack', 'validate-uuid']


class Ways(TagsTest):

    def test_file_without_a_return_path(self):
        source, dest = self.boot_checked(), self.waiting()
        uri = f'file:{self.path("image")}'
        source.qmp.cmd('stop')
        source.qmp.cmd('migrate', uri=uri)
        wait_until(lambda: source.qmp.cmd('query-migrate')['status']
                   == 'completed', 'the file is written')
        dest.qmp.cmd('migrate-incoming', uri=uri)
        wait_until(lambda: dest.qmp.cmd('query-status')['status'] == 'paused',
                   'the file is loaded')
        dest.qmp.cmd('cont')
        self.assert_tags_are_right(dest)

    def test_three_times_and_by_turns(self):
        vm = self.boot_checked()
        for names in ['multifd'], [], ['multifd', 'return-path']:
            dest = self.waiting()
            self.both(vm, dest, names)
            self.send(vm, dest)
            self.capabilities(dest, 'multifd', on=False)
            vm.stop()
            vm = dest
        self.assert_tags_are_right(vm)

    def test_multifd_compressed(self):
        for method in 'zlib', 'zstd':
            source, dest = self.boot_checked(), self.waiting()
            self.both(source, dest, ['multifd'], multifd_compression=method,
                      multifd_channels=3)
            self.send(source, dest)
            self.assert_tags_are_right(dest)
            source.stop()
            dest.stop()

    def test_zero_page_detection(self):
        """On the main channel with multifd, and not at all."""
        for detection, names in (('legacy', ['multifd']), ('none', []),
                                 ('none', ['multifd'])):
            source, dest = self.boot_checked(), self.waiting()
            self.both(source, dest, names, zero_page_detection=detection)
            self.send(source, dest)
            self.assert_tags_are_right(dest)
            source.stop()
            dest.stop()

    def test_harmless_capabilities(self):
        source, dest = self.boot_checked(), self.waiting()
        self.both(source, dest, HARMLESS)
        self.send(source, dest)
        self.assert_tags_are_right(dest)

    def test_pause_before_switchover(self):
        source, dest = self.boot_checked(), self.waiting()
        self.both(source, dest, ['pause-before-switchover', 'multifd'])
        migration = Migration(source.qmp, dest.qmp,
                              f'unix:{self.path(dest.name)}', plain=True,
                              timeout=120)
        migration.start()
        wait_until(lambda: source.qmp.cmd('query-migrate')['status']
                   == 'pre-switchover', 'the source pauses')
        source.qmp.cmd('migrate-continue', state='pre-switchover')
        migration.finish()
        self.assert_tags_are_right(dest)

    def test_page_dirtied_by_tag_stores_alone_is_sent_again(self):
        source, dest = self.boot(arguments(check='')), self.waiting()
        source.console.send(f'{TAGS_ONLY} < /dev/null &')
        source.console.wait_for('realm-check: t=')
        migration = Migration(source.qmp, dest.qmp,
                              f'unix:{self.path(dest.name)}', plain=True,
                              bandwidth=16 * MIB, timeout=120)
        migration.start()
        migration.wait_for_round(2)
        before = migration.report()['pages']
        migration.finish()
        again = migration.report()['pages'] - before
        self.log.info('%d pages again', again)
        self.assertGreater(again, RESENT)
        self.assert_tags_are_right(dest)

    def test_snapshot_brings_back_tags_that_have_changed(self):
        vm = self.boot_checked()
        self.add_image(vm)
        where = {'tag': 'then', 'vmstate': 'image', 'devices': ['image']}
        self.job(vm, 'snapshot-save', **where)
        for _ in range(3):      # most tags are others then
            vm.console.wait_for('realm-check: t=', after=vm.console.mark())
        self.job(vm, 'snapshot-load', **where)
        self.assert_tags_are_right(vm)

    def tls(self, endpoint):
        folder = self.path('psk')
        if not os.path.exists(folder):
            os.mkdir(folder)
            with open(os.path.join(folder, 'keys.psk'), 'w',
                      encoding='ascii') as file:
                file.write(f'qemu:{KEY}\n')
        return ['-object', f'tls-creds-psk,id=tls0,dir={folder},'
                           f'endpoint={endpoint},username=qemu'
                           if endpoint == 'client' else
                           f'tls-creds-psk,id=tls0,dir={folder},'
                           f'endpoint={endpoint}']

    def test_tls(self):
        for names in [], ['multifd']:
            source = self.boot_checked(arguments() + self.tls('client'))
            dest = self.waiting(arguments() + self.tls('server'))
            self.both(source, dest, ['return-path', *names], tls_creds='tls0')
            self.send(source, dest)
            self.assert_tags_are_right(dest)
            source.stop()
            dest.stop()

    def start_slowly(self, source, dest):
        migration = Migration(source.qmp, dest.qmp,
                              f'unix:{self.path(dest.name)}', plain=True,
                              bandwidth=8 * MIB, timeout=120)
        migration.start()
        wait_until(lambda: source.qmp.cmd('query-migrate').get('ram', {})
                   .get('transferred', 0) > 16 * MIB, 'pages were sent')
        return migration

    def test_cancelled_and_tried_again(self):
        source = self.boot_checked()
        for names in [], ['multifd']:
            lost, dest = self.waiting(), self.waiting()
            for vm in lost, dest:
                self.both(source, vm, names)
            self.start_slowly(source, lost).cancel()
            self.assert_goes_on(source)
            lost.stop()
            self.send(source, dest)
            self.capabilities(dest, 'multifd', on=False)
            source.stop()
            source = dest
        self.assert_tags_are_right(source)

    def test_destination_that_dies_leaves_the_source_its_tags(self):
        source, dest = self.boot_checked(), self.waiting()
        self.both(source, dest, ['multifd', 'return-path'])
        self.start_slowly(source, dest)
        dest.process.kill()
        wait_until(lambda: source.qmp.cmd('query-migrate')['status']
                   == 'failed', 'it fails')
        self.assert_tags_are_right(source)

    def test_many_rounds_with_auto_converge(self):
        source = self.boot_checked(arguments(check='realm.check=48,2,40'))
        dest = self.waiting()
        self.both(source, dest, ['auto-converge', 'return-path'])
        self.parameters(source, downtime_limit=1)
        migration = Migration(source.qmp, dest.qmp,
                              f'unix:{self.path(dest.name)}', plain=True,
                              bandwidth=16 * MIB, timeout=120)
        migration.start()
        migration.wait_for_round(4)
        self.parameters(source, downtime_limit=2000)
        migration.finish()
        self.assert_tags_are_right(dest)


if __name__ == '__main__':
    TagsTest.main()
