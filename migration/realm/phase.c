/*
 * Where a Realm is in its migration (see phase.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/qapi-events-realm.h"
#include "qemu/bitops.h"
#include "phase.h"
#include "trace.h"

#define P(phase) REALM_MIGRATION_PHASE_##phase
#define TO(phase) BIT(P(phase))

/* From each phase, those that may follow: the diagram in phase.h. */
static const uint16_t edges[REALM_MIGRATION_PHASE__MAX] = {
    [P(HERE)]      = TO(ACCEPTED),
    [P(ACCEPTED)]  = TO(HERE) | TO(EXPORTING),
    [P(EXPORTING)] = TO(HERE) | TO(PAUSED),
    [P(PAUSED)]    = TO(HERE) | TO(SEALED),
    [P(SEALED)]    = TO(HERE),
    [P(WAITING)]   = TO(OFFERED),
    [P(OFFERED)]   = TO(IMPORTING) | TO(FAILED),
    [P(IMPORTING)] = TO(HERE) | TO(FAILED),
    [P(FAILED)]    = 0,
};

static int the_phase = P(HERE);

void realm_phase_init(bool incoming)
{
    qatomic_set(&the_phase, incoming ? P(WAITING) : P(HERE));
}

RealmMigrationPhase realm_phase(void)
{
    return qatomic_read(&the_phase);
}

bool realm_phase_holds(RealmMigrationPhase phase)
{
    return phase == P(HERE) || phase == P(ACCEPTED) ||
           phase == P(EXPORTING) || phase == P(PAUSED);
}

bool realm_phase_offered(RealmMigrationPhase phase)
{
    return phase == P(OFFERED) || phase == P(IMPORTING) ||
           phase == P(FAILED);
}

void realm_phase_set(RealmMigrationPhase to)
{
    RealmMigrationPhase from = realm_phase();

    if (to == from) {
        return;
    }
    assert(edges[from] & BIT(to));
    qatomic_set(&the_phase, to);
    trace_realm_phase(RealmMigrationPhase_str(from),
                      RealmMigrationPhase_str(to));
    qapi_event_send_realm_migration_phase(to, realm_phase_holds(to));
}
