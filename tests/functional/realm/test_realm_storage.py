#!/usr/bin/env python3
"""Disks of a Realm: they move with it, and are plugged in.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import hashlib
import os

from realm_case import (MIGRATION_SECONDS, RealmTest, guest_arguments,
                        incoming, wait_until)

MIB = 1 << 20
SIZE = 16 * MIB
SMALL = {'cpus': 2, 'memory': '384M'}
WRITE = ('dd if=/dev/urandom of=/dev/vda bs=64k seek={} count=16 '
         'conv=fsync 2>/dev/null')
# What the device has, and not what the guest remembers of it.
HASH = 'dd if=/dev/vda bs=1M iflag=direct 2>/dev/null | sha256sum'


class Storage(RealmTest):

    def disk(self, name, contents=bytes(SIZE)):
        path = self.path(name)
        with open(path, 'wb') as file:
            file.write(contents)
        return path

    def contents(self, name):
        with open(self.path(name), 'rb') as file:
            return file.read()

    def guest_with_disk(self, name):
        return guest_arguments(**SMALL) + [
            '-blockdev', 'driver=raw,node-name=disk,file.driver=file,'
                         f'file.filename={self.path(name)}',
            '-device', 'virtio-blk-pci,drive=disk']

    def export(self, dest):
        """The destination's empty disk is there for the source to fill."""
        path = self.path('nbd')
        dest.qmp.cmd('nbd-server-start', addr={
            'type': 'unix', 'data': {'path': path}})
        dest.qmp.cmd('block-export-add', type='nbd', id='export',
                     node_name='disk', name='disk', writable=True)
        return {'type': 'unix', 'path': path}

    def mirror(self, source, server):
        """The disk is copied, and what is written from now on as well."""
        source.qmp.cmd('blockdev-add', driver='nbd', node_name='there',
                       server=server, export='disk')
        source.qmp.cmd('blockdev-mirror', job_id='mirror', device='disk',
                       target='there', sync='full')
        wait_until(lambda: source.qmp.cmd('query-block-jobs')[0]['ready'],
                   'the disk is copied')

    def end_mirror(self, source):
        source.qmp.cmd('block-job-cancel', device='mirror')
        wait_until(lambda: not source.qmp.cmd('query-block-jobs'),
                   'the copy is whole')

    def move(self, source, dest):
        """Between the last write of the Realm and its start there, the copy
        of the disk is made whole."""
        source.qmp.cmd('realm-migration-accept',
                       offer=self.offer(source, dest))
        source.qmp.cmd('migrate-set-capabilities', capabilities=[
            {'capability': name, 'state': True}
            for name in ('return-path', 'pause-before-switchover')])
        uri = f'unix:{self.path("migration")}'
        dest.qmp.cmd('migrate-incoming', uri=uri, exit_on_error=False)
        source.qmp.cmd('migrate', uri=uri)

        def status():
            return source.qmp.cmd('query-migrate')['status']
        wait_until(lambda: status() == 'pre-switchover', 'the source pauses',
                   MIGRATION_SECONDS)
        self.end_mirror(source)
        source.qmp.cmd('migrate-continue', state='pre-switchover')
        wait_until(lambda: status() == 'completed', 'the migration ends',
                   MIGRATION_SECONDS)

    def test_realm_and_its_disk_move_together(self):
        self.disk('here', os.urandom(SIZE))
        self.disk('there')
        source = self.boot(self.guest_with_disk('here'))
        dest = self.start(incoming(self.guest_with_disk('there') + ['-S']))
        self.mirror(source, self.export(dest))
        self.guest(source, WRITE.format(0))
        self.move(source, dest)
        dest.qmp.cmd('nbd-server-stop')
        dest.qmp.cmd('cont')
        source.stop()

        self.assertEqual(self.contents('there'), self.contents('here'))
        digest = hashlib.sha256(self.contents('here')).hexdigest()
        self.assertIn(digest, self.guest(dest, HASH))
        self.guest(dest, WRITE.format(32))
        self.assertNotEqual(self.contents('there'), self.contents('here'))
        self.assert_goes_on(dest)

    def test_scsi_disk_is_plugged_in_and_out(self):
        path = self.disk('scsi', os.urandom(MIB) + bytes(MIB))
        vm = self.boot(guest_arguments(**SMALL)
                       + ['-device', 'virtio-scsi-pci,id=scsi'])
        self.guest(vm, 'modprobe sd_mod; test ! -e /dev/sda')
        vm.qmp.cmd('blockdev-add', driver='raw', node_name='disk',
                   file={'driver': 'file', 'filename': path})
        vm.qmp.cmd('device_add', driver='scsi-hd', id='sd', bus='scsi.0',
                   drive='disk')
        wait_until(lambda: 'sda' in self.guest(vm, 'ls /dev'),
                   'the disk is there')
        self.guest(vm, 'dd if=/dev/sda bs=64k count=16 of=/dev/sda seek=16 '
                       'conv=fsync 2>/dev/null')
        data = self.contents('scsi')
        self.assertEqual(data[:MIB], data[MIB:])

        vm.qmp.cmd('device_del', id='sd')
        wait_until(lambda: 'sda' not in self.guest(vm, 'ls /dev'),
                   'the disk is gone')
        vm.qmp.cmd('blockdev-del', node_name='disk')
        self.assert_goes_on(vm)


if __name__ == '__main__':
    RealmTest.main()
