/*
 * kvm_cc_cause of what the model of the RMM refuses
 *
 * Purpose: the table of docs/specs/kvm-arm-realm-migration.rst ("The RMM calls
 * behind it").  The stand-in kernel answers by it.  The backend sees by it
 * whether a monitor's number can be one of the model's, which it has words for.
 *
 * Invariants: tests/kvm-double/test-strict.c compares each number with the
 * text.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_KVM_REALM_MONITOR_CAUSE_H
#define ACCEL_KVM_REALM_MONITOR_CAUSE_H

#include <linux/kvm-cc-migration.h>
#include "target/arm/rmm/mig-abi.h"

/* What user space can do; @import: at the destination.  Most are OTHER. */
static inline uint32_t monitor_cause(uint64_t detail, bool import)
{
    static const uint8_t causes[] = {
#define CAUSE(mig, cc) [MIG_CAUSE_##mig] = KVM_CC_CAUSE_##cc
        CAUSE(OFFER_FORMAT, FORMAT), CAUSE(ABORT_FORMAT, FORMAT),
        CAUSE(REPLY_FORMAT, FORMAT), CAUSE(FORMAT, FORMAT), CAUSE(TYPE, FORMAT),
        CAUSE(POLICY_FORMAT, FORMAT),

        CAUSE(ABORT_SECRET, SEAL), CAUSE(REPLY_SEAL, SEAL),
        CAUSE(AUTHENTICATION, SEAL), CAUSE(KEY, SEAL), CAUSE(ORDER, SEAL),
        CAUSE(EPOCH, SEAL), CAUSE(TOTAL, SEAL), CAUSE(PAGE_REPEATED, SEAL),

        CAUSE(VERSION, VERSION), CAUSE(FEATURES, VERSION),

        CAUSE(PEER_TOKEN, PEER), CAUSE(PEER_SIGNATURE, PEER),
        CAUSE(PEER_CHALLENGE, PEER), CAUSE(PEER_PROFILE, PEER),
        CAUSE(PEER_LIFECYCLE, PEER), CAUSE(PEER_IMPLEMENTATION, PEER),
        CAUSE(PEER_SOFTWARE, PEER), CAUSE(OWN_HELLO, PEER),

        CAUSE(OFFER_NONCE, EXPIRED), CAUSE(OFFER_EXPIRED, EXPIRED),
        CAUSE(EXPIRED, EXPIRED),

        CAUSE(PAGES_DIRTY, OWED), CAUSE(REALM_MISSING, OWED),
        CAUSE(REC_MISSING, OWED),

        CAUSE(PAGE_MISSING, MISSING), CAUSE(START_MISSING, MISSING),
        CAUSE(INCOMPLETE, MISSING),

        CAUSE(ABORT_OTHER, OTHER_SESSION), CAUSE(REPLY_OTHER, OTHER_SESSION),
        CAUSE(OTHER_OFFER, OTHER_SESSION),

        CAUSE(RECLAIMED, LOST),
        CAUSE(PLATFORM_KEY, KEY),
        CAUSE(COUNTER, LIMIT), CAUSE(MAP_RUNS, LIMIT),
#undef CAUSE
    };

    /* What START still has to export, READY and COMMIT wait for. */
    if (import && (detail == MIG_CAUSE_REALM_MISSING ||
                   detail == MIG_CAUSE_REC_MISSING)) {
        return KVM_CC_CAUSE_MISSING;
    }
    return detail < sizeof(causes) ? causes[detail]
         : detail < MIG_CAUSE_DIFFERENT_IPA_WIDTH ? KVM_CC_CAUSE_OTHER
                                                  : KVM_CC_CAUSE_DIFFERENT;
}

#endif
