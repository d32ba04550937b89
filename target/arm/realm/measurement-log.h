/*
 * The log of what a Realm's initial measurement consists of
 *
 * Purpose: a verifier who knows the log and the images can compute the
 * measurement again.  The log is a TCG event log in its crypto-agile format
 * (TCG PC Client Platform Firmware Profile 1.06, 10.2), with the events of the
 * series that was posted for QEMU.  The Realm finds it in its memory;
 * docs/system/arm/realm-measurement.rst describes it.
 *
 * Invariants: nothing but the machine's options and images is in it, so the
 * same command line makes the same bytes.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_ARM_REALM_MEASUREMENT_LOG_H
#define TARGET_ARM_REALM_MEASUREMENT_LOG_H

#include "system/realm-backend.h"
#include "target/arm/rmm/mig-abi.h"
#include "target/arm/rmm/rmm-abi.h"

/* What the host measures; images are those of system/realm-image.h. */
typedef struct RealmLogFacts {
    const RealmConfig *config;
    const RmiRealmParams *params;
    const MigPolicy *policy;    /* NULL: the Realm may not migrate */
    const GArray *ram;          /* of RealmRange (layout.h), ascending */
    const RmiRecParams *rec;    /* of the vCPU that runs first */
} RealmLogFacts;

/*
 * Write the log to the shared view of RAM, at @config->log_base.  False with
 * @errp set if it has no place or does not fit.
 */
bool realm_log_write(const RealmLogFacts *facts, Error **errp);

#endif
