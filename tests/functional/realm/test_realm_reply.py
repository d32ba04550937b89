#!/usr/bin/env python3
"""What the destination sends back: that it is ready, and that it has the Realm.

The network between the two loses, changes and repeats it.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import struct

from realm_case import guest_arguments, wait_until
from realm_failing import SMALL, FailureTest
from realm_relay import VERSION, Back, Relay, Replace, message


def lose(_):
    return b''


def flip(record):
    return message(record[:-1] + bytes([record[-1] ^ 1]))


def phase(vm):
    return vm.qmp.cmd('query-realm-migration')['phase']


class Reply(FailureTest):

    def relay(self, dest, back=None, change=None):
        return Relay(self.path('relay'), self.path(dest.name), change, back)

    def move(self, dest, back):
        """A migration of which the source hears what is left by @back."""
        migration = self.migration(dest)
        with self.relay(dest, back) as relay:
            migration.source_uri = relay.uri
            migration.run()
            relay.wait()

    def assert_stays(self, message_, back):
        """No start token is made: the Realm goes on here, and not there."""
        dest = self.destination()
        migration = self.migration(dest)
        with self.relay(dest, back) as relay:
            migration.source_uri = relay.uri
            self.assert_refused('migration failed', migration.run)
        said = [self.source().qmp.cmd('query-migrate').get('error-desc', ''),
                *self.source().errors()]
        self.assertIn(message_, '\n'.join(said))
        # It is paused until QEMU starts its vCPUs again.
        wait_until(lambda: phase(self.source()) == 'here', 'it is given up')
        self.assert_never_runs(dest)
        self.assert_goes_on(self.source())

    def test_source_is_gone_once_it_has_the_receipt(self):
        source = self.source()
        dest, _ = self.migrate(source, guest_arguments(**SMALL), shared=True)
        wait_until(lambda: phase(source) == 'gone', 'the receipt is taken')
        for message_, command, arguments in (
                ('end this machine', 'resume', {'token': 'AAAA'}),
                ('end this machine', 'abort', {}),
                ('the one that has it', 'prepare', {}),
                ('the one that has it', 'accept', {'offer': 'AAAA'})):
            self.assert_refused(message_, source.qmp.cmd,
                                f'realm-migration-{command}', **arguments)
            self.assertEqual(phase(source), 'gone')
        self.assertFalse(source.qmp.cmd('query-realm-migration')['holds'])
        self.assert_moved_to(dest)

    def test_realm_moves_without_its_receipt_and_the_source_stays_sealed(self):
        dest, back = self.destination(shared=True), Back(message, lose)
        self.move(dest, back)
        self.assertEqual(len(back.records), 2)
        self.assertEqual(phase(self.source()), 'sealed')
        self.assertEqual(self.source().qmp.cmd('query-migrate')['status'],
                         'completed')
        wait_until(lambda: 'its contents are still here; end this machine'
                   in '\n'.join(self.source().errors()), 'the source says so')
        self.assert_moved_to(dest)

    def test_forged_receipt_leaves_the_source_sealed(self):
        dest, back = self.destination(shared=True), Back(message, flip)
        self.move(dest, back)
        wait_until(lambda: 'the answer is not from the destination'
                   in '\n'.join(self.source().errors()), 'the source says so')
        self.assertEqual(phase(self.source()), 'sealed')
        self.assert_moved_to(dest)

    def test_source_goes_on_without_a_ready_record(self):
        self.assert_stays('did not answer within', Back(lose))
        self.assert_moves_on()

    def test_source_goes_on_after_a_ready_record_that_is_not_for_it(self):
        other = Back(lose)
        self.assert_stays('did not answer within', other)
        for change in (flip, lambda _: message(other.records[0])):
            self.assert_stays('the answer is not from the destination whose '
                              'offer was accepted', Back(change))
        self.assert_stays('a ready record has 64 bytes',
                          Back(lambda record: message(record + b'x')))
        self.assert_moves_on()

    def test_records_of_other_sizes_or_moments_end_the_migration(self):
        for reason, back in (
                ('a record of 0 bytes', Back(lambda _: message(b''))),
                ('1 to 256 are possible',
                 Back(lambda _: message(bytes(257)))),
                ('when none was due', Back(first=message(bytes(64))))):
            self.log.info('%s', reason)
            self.assert_stays(reason, back)
        self.assert_moves_on()

    def test_session_of_version_1_is_refused(self):
        # Behind the header of the section: that of a frame, and the magic.
        self.assert_fails('another version of the protocol; use QEMUs with '
                          'the same major version', self.destination(),
                          Replace('realm', 8 + 4,
                                  struct.pack('<H', VERSION - 0x100)))
        self.assert_moves_on()


if __name__ == '__main__':
    FailureTest.main()
