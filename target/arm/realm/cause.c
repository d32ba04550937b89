/*
 * Why the RMM refuses a call, in words
 *
 * Purpose: one table from MigCause to what a user reads.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "target/arm/rmm/mig-abi.h"
#include "cause.h"

static const char *const causes[] = {
    [MIG_CAUSE_STATE] =
        "its state does not allow it; "
        "see query-status and query-realm-migration",
    [MIG_CAUSE_NOT_MIGRATABLE] =
        "it was created with migration=off; give rme-guest migration=on",
    [MIG_CAUSE_OFFER_FORMAT] =
        "this is no offer; use what realm-migration-offer returned",
    [MIG_CAUSE_OFFER_NONCE] =
        "the offer is not for the nonce that realm-migration-prepare gave "
        "last, or was used before; use that one on a new destination",
    [MIG_CAUSE_OFFER_OUTSTANDING] =
        "another offer was accepted, and its migration is not over; "
        "use migrate_cancel, or wait for its end",
    [MIG_CAUSE_OFFER_EXPIRED] =
        "realm-migration-prepare was more than 10 minutes ago; "
        "use it again, and make a new offer on a new destination",
    [MIG_CAUSE_SAME_EPOCH] = "the epoch is not closed yet",
    [MIG_CAUSE_COUNTER] = "a counter of the session is used up",
    [MIG_CAUSE_RECS_RUNNING] = "a vCPU is still running",
    [MIG_CAUSE_PAGES_DIRTY] = "pages were written and not exported again",
    [MIG_CAUSE_REALM_PART] = "its state is exported out of order",
    [MIG_CAUSE_REALM_MISSING] = "its state is not exported completely",
    [MIG_CAUSE_REC_MISSING] = "a REC is not exported",
    [MIG_CAUSE_REC_REPEATED] = "a REC is exported twice",
    [MIG_CAUSE_REC_EXTRA] = "a REC was created after the import",
    [MIG_CAUSE_CONTEXT] = "the registers of a vCPU are not available",
    [MIG_CAUSE_CIPHER] = "the cryptography library failed",
    [MIG_CAUSE_POLICY_FORMAT] =
        "its migration policy is malformed; "
        "check migration-trust-anchors and migration-rules",
    [MIG_CAUSE_POLICY_SET] = "it has a migration policy already",
    [MIG_CAUSE_PLATFORM_KEY] =
        "this machine has no platform key; see the warning at its start",
    [MIG_CAUSE_ABORT_FORMAT] =
        "this is no abort token; use what realm-migration-abort returned",
    [MIG_CAUSE_ABORT_OTHER] =
        "the abort token is for another migration; "
        "use that of the destination it was last sent to",
    [MIG_CAUSE_ABORT_SECRET] =
        "the destination did not make this abort token; "
        "use what realm-migration-abort returned there",
    [MIG_CAUSE_OWED] = "a record that was made before was not taken",
    [MIG_CAUSE_REPLY_FORMAT] =
        "what the destination answered is no record for this moment",
    [MIG_CAUSE_REPLY_SEAL] =
        "the answer is not from the destination whose offer was accepted",
    [MIG_CAUSE_REPLY_OTHER] =
        "the destination has not loaded all that was sent",
    [MIG_CAUSE_MAP_RUNS] =
        "its memory is in too many pieces; stop it from giving single pages "
        "back",
    [MIG_CAUSE_PAGE_MISSING] = "a page never came",
    [MIG_CAUSE_START_MISSING] = "the start token never came",
    [MIG_CAUSE_FORMAT] = "the record is malformed or of an unknown version",
    [MIG_CAUSE_AUTHENTICATION] =
        "the record is not what the source sealed for this offer",
    [MIG_CAUSE_KEY] = "the key exchange failed",
    [MIG_CAUSE_ORDER] = "the record is lost, repeated or out of order",
    [MIG_CAUSE_EPOCH] = "the record belongs to another epoch",
    [MIG_CAUSE_TOTAL] = "records of this epoch are missing",
    [MIG_CAUSE_TYPE] = "the record is of a type that has no place here",
    [MIG_CAUSE_INCOMPLETE] = "the start token came too early",
    [MIG_CAUSE_CONTEXT_REFUSED] =
        "this machine cannot load the registers of a vCPU; "
        "use the -cpu of the source",
    [MIG_CAUSE_REC_UNKNOWN] =
        "the record is for a vCPU that is not here, or came before",
    [MIG_CAUSE_OTHER_OFFER] =
        "the source answers another offer; give it the one made here",
    [MIG_CAUSE_VERSION] =
        "the other side has another version of the protocol; "
        "use QEMUs with the same major version of it",
    [MIG_CAUSE_FEATURES] =
        "the other side does not use the features that it has to, or others "
        "than were offered; see migration-compact",
    [MIG_CAUSE_PEER_TOKEN] =
        "the platform token of the other side is malformed",
    [MIG_CAUSE_PEER_SIGNATURE] =
        "the other side is a platform that the Realm does not trust; "
        "its key, or an authority that certified it, has to be among the "
        "migration-trust-anchors that the Realm was started with",
    [MIG_CAUSE_PEER_CHALLENGE] =
        "the platform token of the other side is for something else",
    [MIG_CAUSE_PEER_PROFILE] =
        "the other side has no platform token of Arm CCA",
    [MIG_CAUSE_PEER_LIFECYCLE] =
        "the platform of the other side is not secured, "
        "which the Realm's policy asks for; see migration-life-cycle",
    [MIG_CAUSE_PEER_IMPLEMENTATION] =
        "the other side is not the implementation "
        "that the Realm's policy asks for; see migration-implementation",
    [MIG_CAUSE_OWN_HELLO] =
        "the offer has this side's own key or nonce; the random numbers "
        "of one of the two machines repeat",
    [MIG_CAUSE_PAGE_REPEATED] =
        "a page comes twice in one bundle or one epoch",
    [MIG_CAUSE_RECLAIMED] =
        "its host took memory or a vCPU away meanwhile; "
        "give the migration up and start another one",
    [MIG_CAUSE_EXPIRED] =
        "the offer was made more than 10 minutes before its migration came; "
        "start another destination",
    [MIG_CAUSE_PEER_SOFTWARE] =
        "the other side has software that no rule of the Realm's policy "
        "allows; see migration-rules",
    [MIG_CAUSE_DIFFERENT_IPA_WIDTH] =
        "the IPA widths differ; use the -M and -m of the source",
    [MIG_CAUSE_DIFFERENT_START_LEVEL] =
        "the start levels of the tables differ; use the -M of the source",
    [MIG_CAUSE_DIFFERENT_HASH_ALGORITHM] =
        "measurement-algorithm differs; use the rme-guest of the source",
    [MIG_CAUSE_DIFFERENT_PERSONALIZATION_VALUE] =
        "personalization-value differs; use the rme-guest of the source",
    [MIG_CAUSE_DIFFERENT_MTE] =
        "mte differs; use the -M and rme-guest of the source",
    [MIG_CAUSE_DIFFERENT_FLAGS] =
        "the Realms' flags differ; use the rme-guest of the source",
    [MIG_CAUSE_DIFFERENT_SVE] =
        "the SVE vector lengths differ; use the -cpu of the source",
    [MIG_CAUSE_DIFFERENT_BREAKPOINTS] =
        "the numbers of breakpoints differ; use the -cpu of the source",
    [MIG_CAUSE_DIFFERENT_WATCHPOINTS] =
        "the numbers of watchpoints differ; use the -cpu of the source",
    [MIG_CAUSE_DIFFERENT_PMU] =
        "the PMUs differ; use the -cpu of the source",
    [MIG_CAUSE_DIFFERENT_NUM_RECS] =
        "the numbers of vCPUs differ; use the -smp of the source",
    [MIG_CAUSE_DIFFERENT_POLICY] =
        "the migration policies differ; use the rme-guest of the source",
};

bool realm_cause_is_known(unsigned cause)
{
    return cause < G_N_ELEMENTS(causes) && causes[cause];
}

const char *realm_cause(unsigned cause)
{
    return realm_cause_is_known(cause)
        ? causes[cause] : "for a cause that this program does not know";
}
