# What a record, token or policy meets that is not what the text says
#
# SPDX-License-Identifier: GPL-2.0-or-later


class Refused(Exception):
    """Something that the text refuses, with the cause that it names."""

    def __init__(self, cause, why):
        super().__init__(f'{why} (cause {cause})')
        self.cause = cause


def need(condition, cause, why):
    if not condition:
        raise Refused(cause, why)
