/*
 * Commands that have no true answer for a Realm
 *
 * Purpose, invariants and lock rule: system/realm-refuse.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/range.h"
#include "exec/address-spaces.h"
#include "exec/memory.h"
#include "system/realm-backend.h"
#include "system/realm-refuse.h"
#include "system/runstate.h"

/* Bytes of an instruction. */
#define INSTRUCTION 4

/* Whether the machine is a Realm; @errp has @reason then. */
static bool refuse(Error **errp, const char *reason)
{
    if (realm_backend()) {
        error_setg(errp, "Realm: %s", reason);
    }
    return realm_backend();
}

bool realm_refuses_dump(Error **errp)
{
    return refuse(errp, "neither its memory nor its registers can be dumped "
                  "from outside; use the guest's own means");
}

static const char *no_snapshots;

void realm_refuse_snapshots(const char *reason)
{
    assert(!no_snapshots);
    no_snapshots = reason;
}

bool realm_refuses_snapshot(Error **errp)
{
    if (no_snapshots) {
        error_setg(errp, "%s", no_snapshots);
        return true;
    }
    return refuse(errp, "it can neither be saved to a snapshot nor come from "
                  "one; migrate it to another QEMU instead");
}

bool realm_refuses_dirty_rate(Error **errp)
{
    return refuse(errp, "nobody knows how fast its private memory is written "
                  "before it migrates; see query-realm-migration then");
}

bool realm_refuses_dirty_limit(Error **errp)
{
    return refuse(errp, "nobody knows how fast a vCPU writes its private "
                  "memory, so there is no limit for it; leave it out");
}

bool realm_refuses_virtual(Error **errp)
{
    return refuse(errp, "its virtual addresses mean nothing outside; use "
                  "pmemsave or xp with an address of its shared memory");
}

/*
 * Advance *@addr to the first address before @top where the board has RAM;
 * false if it has none there.
 */
static bool find_ram(hwaddr *addr, hwaddr top)
{
    while (*addr < top) {
        MemoryRegionSection section =
            memory_region_find(get_system_memory(), *addr, top - *addr);
        bool is_ram;

        if (!section.mr) {
            return false;
        }
        is_ram = memory_region_is_ram(section.mr);
        memory_region_unref(section.mr);
        *addr = section.offset_within_address_space;
        if (is_ram) {
            return true;
        }
        *addr += int128_get64(section.size);
    }
    return false;
}

bool realm_refuses_physical(hwaddr addr, uint64_t size, Error **errp)
{
    const RealmConfig *config = realm_config();
    hwaddr found, shared;
    Range look, ram;

    if (!config || !size) {
        return false;
    }
    range_init_nofail(&ram, config->ram_base, config->ram_size);
    range_set_bounds(&look, addr, addr + MIN(size - 1, UINT64_MAX - addr));
    found = MAX(addr, config->ram_base);
    if (!range_overlaps_range(&look, &ram) ||
        !find_ram(&found, MIN(range_upb(&look), range_upb(&ram)) + 1)) {
        return false;
    }
    shared = found | BIT_ULL(config->ipa_bits - 1);
    error_setg(errp, "Realm: the memory at 0x%" HWADDR_PRIx " is private; "
               "what it shares is at 0x%" HWADDR_PRIx ", for pmemsave and xp",
               found, shared);
    return true;
}

/* The destination has its disks by now; QEMU refuses `cont` here as well. */
bool realm_refuses_continue(void)
{
    if (!realm_config() || !runstate_check(RUN_STATE_FINISH_MIGRATE)) {
        return false;
    }
    error_report("Realm: its migration is about to end, so it does not run "
                 "here; use migrate_cancel first");
    return true;
}

bool realm_refuses_show(bool physical, hwaddr addr, int count, int size)
{
    uint64_t unit = size < 0 ? INSTRUCTION : size;
    Error *err = NULL;

    if (physical ? realm_refuses_physical(addr, count * unit, &err)
                 : realm_refuses_virtual(&err)) {
        error_report_err(err);
        return true;
    }
    return false;
}
