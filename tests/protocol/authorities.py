# Certificates for tests
#
# SPDX-License-Identifier: GPL-2.0-or-later

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def new_key(curve=ec.SECP384R1()):
    return ec.generate_private_key(curve)


def name(text):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def certificate(subject, key, issuer, issuer_key, ca=None, path_length=None,
                cert_sign=None, digest=hashes.SHA384(), more=()):
    """@subject has @key, says @issuer with @issuer_key, in DER.  With @ca there
    are basic constraints, with @cert_sign a key usage; @more are (extension,
    whether it is critical)."""
    made = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(
        name(issuer)).public_key(key.public_key()).serial_number(
        x509.random_serial_number()).not_valid_before(
        datetime.datetime(2020, 1, 1)).not_valid_after(
        datetime.datetime(2021, 1, 1))      # nobody looks at dates
    if ca is not None:
        made = made.add_extension(x509.BasicConstraints(ca, path_length), True)
    if cert_sign is not None:
        made = made.add_extension(x509.KeyUsage(
            True, False, False, False, False, cert_sign, False, False, False),
            True)
    for extension, critical in more:
        made = made.add_extension(extension, critical)
    return made.sign(issuer_key, digest).public_bytes(
        serialization.Encoding.DER)


UNKNOWN = x509.UnrecognizedExtension(
    x509.ObjectIdentifier('1.3.6.1.4.1.' + 10 * '123456.' + '1'), b'\5\0')
SERVERS = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH])
NAMES = x509.NameConstraints([x509.DirectoryName(name('middle'))], None)


class Authority:
    """Has a self-signed certificate, and one below it that signs the
    platforms'."""

    def __init__(self, key=None):
        self.key, self.middle_key = key or new_key(), new_key()
        self.root = certificate('root', self.key, 'root', self.key, True, 1,
                                True)
        self.middle = certificate('middle', self.middle_key, 'root', self.key,
                                  True, 0, True)

    def chain(self, key):
        """For the platform that has @key."""
        return certificate('platform', key, 'middle', self.middle_key, False
                           ) + self.middle + self.root
