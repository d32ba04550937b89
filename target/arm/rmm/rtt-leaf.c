/*
 * Entries of translation tables: what may follow what (see rtt-leaf.h)
 *
 * Lock rule: the Realm's lock is held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "rmm-internal.h"
#include "rtt-desc.h"
#include "rtt-leaf.h"

#define TO(state) (1u << LEAF_##state)
#define UNASSIGNED (TO(EMPTY) | TO(RAM) | TO(DESTROYED))
#define ASSIGNED   (TO(ASSIGNED_EMPTY) | TO(ASSIGNED_RAM) | \
                    TO(ASSIGNED_DESTROYED))

/* One row a call: from each state, the states that may follow. */
static const uint16_t transitions[LEAF_CALLS][LEAF_STATES] = {
    [BY_INIT_RIPAS] = {
        [LEAF_EMPTY]              = TO(RAM),
        [LEAF_RAM]                = TO(RAM),
        [LEAF_DESTROYED]          = TO(RAM),
    },
    [BY_SET_RIPAS] = {
        [LEAF_EMPTY]              = TO(RAM),
        [LEAF_RAM]                = TO(EMPTY),
        [LEAF_DESTROYED]          = TO(EMPTY) | TO(RAM),
        [LEAF_ASSIGNED_EMPTY]     = TO(ASSIGNED_RAM),
        [LEAF_ASSIGNED_RAM]       = TO(ASSIGNED_EMPTY),
        [LEAF_ASSIGNED_DESTROYED] = TO(ASSIGNED_EMPTY) | TO(ASSIGNED_RAM),
    },
    [BY_DATA_CREATE] = {
        [LEAF_EMPTY]              = TO(ASSIGNED_RAM),
        [LEAF_RAM]                = TO(ASSIGNED_RAM),
        [LEAF_DESTROYED]          = TO(ASSIGNED_RAM),
    },
    [BY_DATA_CREATE_UNKNOWN] = {
        [LEAF_EMPTY]              = TO(ASSIGNED_EMPTY),
        [LEAF_RAM]                = TO(ASSIGNED_RAM),
        [LEAF_DESTROYED]          = TO(ASSIGNED_DESTROYED),
    },
    [BY_DATA_DESTROY] = {
        [LEAF_ASSIGNED_EMPTY]     = TO(EMPTY),
        [LEAF_ASSIGNED_RAM]       = TO(DESTROYED),
        [LEAF_ASSIGNED_DESTROYED] = TO(DESTROYED),
    },
    [BY_MAP_UNPROTECTED]   = { [LEAF_NS]          = TO(ASSIGNED_NS) },
    [BY_UNMAP_UNPROTECTED] = { [LEAF_ASSIGNED_NS] = TO(NS) },
    [BY_RTT_CREATE] = {
        [LEAF_EMPTY]              = TO(TABLE),
        [LEAF_RAM]                = TO(TABLE),
        [LEAF_DESTROYED]          = TO(TABLE),
        [LEAF_ASSIGNED_EMPTY]     = TO(TABLE),
        [LEAF_ASSIGNED_RAM]       = TO(TABLE),
        [LEAF_ASSIGNED_DESTROYED] = TO(TABLE),
        [LEAF_NS]                 = TO(TABLE),
        [LEAF_ASSIGNED_NS]        = TO(TABLE),
    },
    [BY_RTT_DESTROY] = { [LEAF_TABLE] = TO(DESTROYED) | TO(NS) },
    [BY_RTT_FOLD]    = { [LEAF_TABLE] = UNASSIGNED | ASSIGNED | TO(NS) |
                                        TO(ASSIGNED_NS) },
    [BY_IMPORT_PAGE] = {
        [LEAF_EMPTY]              = TO(ASSIGNED_RAM),
        [LEAF_RAM]                = TO(ASSIGNED_RAM),
        [LEAF_DESTROYED]          = TO(ASSIGNED_RAM),
    },
    [BY_IMPORT_DROP] = {
        [LEAF_ASSIGNED_EMPTY]     = UNASSIGNED,
        [LEAF_ASSIGNED_RAM]       = UNASSIGNED,
        [LEAF_ASSIGNED_DESTROYED] = UNASSIGNED,
    },
    [BY_IMPORT_RIPAS] = {
        [LEAF_EMPTY]              = TO(RAM) | TO(DESTROYED),
        [LEAF_RAM]                = TO(EMPTY) | TO(DESTROYED),
        [LEAF_DESTROYED]          = TO(EMPTY) | TO(RAM),
        [LEAF_ASSIGNED_EMPTY]     = TO(ASSIGNED_RAM) |
                                    TO(ASSIGNED_DESTROYED),
        [LEAF_ASSIGNED_RAM]       = TO(ASSIGNED_EMPTY) |
                                    TO(ASSIGNED_DESTROYED),
        [LEAF_ASSIGNED_DESTROYED] = TO(ASSIGNED_EMPTY) | TO(ASSIGNED_RAM),
    },
};

#undef TO

LeafState leaf_state(uint64_t desc, int level)
{
    switch (desc_hipas(desc, level)) {
    case RTT_UNASSIGNED:
        return (LeafState)(LEAF_EMPTY + desc_ripas(desc));
    case RTT_ASSIGNED:
        return (LeafState)(LEAF_ASSIGNED_EMPTY + desc_ripas(desc));
    case RTT_UNASSIGNED_NS:
        return LEAF_NS;
    case RTT_ASSIGNED_NS:
        return LEAF_ASSIGNED_NS;
    default:
        return LEAF_TABLE;
    }
}

bool leaf_transition_allowed(LeafCall by, LeafState from, LeafState to)
{
    return by < LEAF_CALLS && from < LEAF_STATES && to < LEAF_STATES &&
           (transitions[by][from] >> to & 1);
}

bool leaf_replace(uint64_t *entry, uint64_t *old, int level, uint64_t desc,
                  LeafCall by)
{
    LeafState from = leaf_state(*old, level), to = leaf_state(desc, level);

    rmm_rule(leaf_transition_allowed(by, from, to),
             "rtt-leaf.h: call %d takes no entry from state %d to %d",
             by, from, to);
    return desc_replace(entry, old, desc);
}

void leaf_set(uint64_t *entry, int level, uint64_t desc, LeafCall by)
{
    uint64_t old = desc_load(entry);

    while (!leaf_replace(entry, &old, level, desc, by)) {
        /* A walker made it dirty. */
    }
}
