/*
 * Migration: what the destination says under seal
 *
 * Purpose: the ready record and the receipt, two bundles without a body under
 * the back key ("Ready" and "Receipt" in
 * docs/specs/realm-migration-stream.rst).
 *
 * Invariant: a record says of which moment of the session it is, by epoch and
 * number of bundles that came.  So one that was kept, or lost and made again,
 * does no harm, and the reader keeps no counter of them.
 *
 * Lock rule: all streams are locked (session.h).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "mig.h"

MigCause reply_make(MigSession *s, MigType type,
                    uint8_t out[MIG_EMPTY_BUNDLE])
{
    MigHeader h = {
        .type = type,
        .epoch = s->epoch,
        .total = session_total(s),
    };
    uint8_t *bundle;

    if (!bundle_possible(&s->back)) {
        return MIG_CAUSE_COUNTER;
    }
    bundle = bundle_seal(&s->back, &h, bundle_body(&s->back, 0), 0);
    if (!bundle) {
        return MIG_CAUSE_CIPHER;
    }
    memcpy(out, bundle, MIG_EMPTY_BUNDLE);
    bundle_done(&s->back);
    return 0;
}

MigCause reply_check(MigSession *s, MigType type,
                     const uint8_t record[MIG_EMPTY_BUNDLE])
{
    MigCause cause;
    MigHeader h;

    memcpy(s->back.scratch, record, MIG_EMPTY_BUNDLE);
    if (!bundle_unseal(&s->back, MIG_EMPTY_BUNDLE, &h, &cause)) {
        return cause == MIG_CAUSE_AUTHENTICATION ? MIG_CAUSE_REPLY_SEAL
                                                 : MIG_CAUSE_REPLY_FORMAT;
    }
    return h.type == type && h.epoch == s->epoch &&
           h.total == session_total(s) ? 0 : MIG_CAUSE_REPLY_OTHER;
}
