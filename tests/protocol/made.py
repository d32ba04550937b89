# Migrations between the source and the destination here, for tests of what no
# golden stream has
#
# SPDX-License-Identifier: GPL-2.0-or-later

import os

import authorities
import golden
import policy as policies
import protocol as p
import sender
import tokens as t

SOURCE_KEY, DESTINATION_KEY = authorities.new_key(), authorities.new_key()
AUTHORITY = authorities.Authority()
CHAIN = AUTHORITY.chain(DESTINATION_KEY)
# The destination has certificates, the source's key is an anchor
POLICY = policies.Policy.make(policies.COMPACT, [
    policies.Anchor(policies.AUTHORITY, p.platform_point(AUTHORITY.key)),
    policies.Anchor(policies.KEY, p.platform_point(SOURCE_KEY)),
], [policies.Rule(policies.SIGNER, sender.COMPONENTS[0][t.SIGNER], b'RMM',
                  (1, 2, 0, 0))])


def fresh():
    return p.Secrets(*(os.urandom(32) for _ in range(3)))


def platform(key):
    return p.Platform(p.platform_point(key), 0, b'a test'.ljust(32, b'\0'))


def realm(flags, algorithm, policy):
    made = p.Realm(flags, 33, 1, algorithm, b'\x60'.ljust(64, b'\0'),
                   breakpoints=3, watchpoints=3, num_recs=2, policy=policy,
                   instance=os.urandom(32))
    made.runs = [(0, 0x3000, p.RAM_PAGE), (0x3000, 0x200000, p.RAM),
                 (0x200000, made.half, p.EMPTY)]
    # The last one is zero, but for its tags
    made.pages = {ipa: (os.urandom(p.PAGE) if ipa < 0x2000 else bytes(p.PAGE),
                        bytes([ipa >> 12]) * p.TAGS
                        if flags & p.FLAG_MTE else bytes(p.TAGS))
                  for ipa in range(0, 0x3000, p.PAGE)}
    made.recs = {mpidr: p.Rec(os.urandom(248), 8 * mpidr, True,
                              os.urandom(777)) for mpidr in (0, 1)}
    made.weakest = 0, b'a test'.ljust(32, b'\0')
    return made


def migrate(name='made', features=p.COMPACT | p.ZERO,
            kind=(p.FLAG_MIGRATION | p.FLAG_MTE, 1, POLICY)):
    """A recording of a new Realm of this @kind."""
    nonce, secrets, policy = os.urandom(32), fresh(), kind[2]
    offer = sender.make_offer(DESTINATION_KEY, secrets, nonce,
                              features=features, certificates=CHAIN)
    recording = golden.Recording(
        name, kind, nonce, offer, secrets, [], b'', b'', '',
        platform(DESTINATION_KEY), platform(SOURCE_KEY), SOURCE_KEY)
    p.accept_offer(offer, policy, recording.source, nonce)
    own = realm(*kind)
    rim = os.urandom(64 if kind[1] else 32).ljust(64, b'\0')
    source = sender.Source(own, rim, SOURCE_KEY, offer, features)
    destination = recording.destination()
    for record in source.records():
        recording.records.append(record)
        destination.import_record(record)
    recording.ready = destination.ready()
    recording.records.append(source.start(recording.ready))
    destination.import_record(recording.records[-1])
    recording.receipt = destination.commit()
    source.finish(recording.receipt)
    own.rim = policy.extend(rim, kind[1])
    own.migrations = 1
    recording.digest = golden.describe(own)
    return recording
