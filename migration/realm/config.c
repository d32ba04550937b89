/*
 * Live migration of Realms: what source and destination must have in common
 *
 * Purpose: the first section of the stream.  If the destination was started
 * with other options than the source, it says which ones before RAM arrives.
 * This is for the user only: the RMM compares again what it relies on, in data
 * that is authenticated.  The size of the host's pages is in a subsection,
 * which is left out for 4 KiB, and so by sources that do not know it.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "migration/migration.h"
#include "migration/vmstate.h"
#include "realm-migration.h"

typedef struct RealmWireConfig {
    uint64_t ram_size;
    uint32_t num_cpus;
    uint8_t ipa_bits;
    uint8_t measurement_algorithm;
    uint8_t mte;
    uint8_t rpv[REALM_RPV_SIZE];
    uint32_t page_size;         /* RealmMigrationLimits */
} RealmWireConfig;

static RealmWireConfig wire;

static void fill_wire_config(RealmWireConfig *c)
{
    const RealmConfig *config = realm_config();
    RealmMigrationLimits limits;

    realm_backend()->migration_limits(&limits);
    *c = (RealmWireConfig) {
        .ram_size = config->ram_size,
        .num_cpus = config->num_cpus,
        .ipa_bits = config->ipa_bits,
        .measurement_algorithm = config->measurement_algorithm,
        .mte = config->mte,
        .page_size = limits.page_size,
    };
    memcpy(c->rpv, config->rpv, REALM_RPV_SIZE);
}

/* Which option the two differ in; NULL if they agree. */
static const char *differing_option(const RealmWireConfig *a,
                                    const RealmWireConfig *b)
{
    return a->ram_size != b->ram_size ? "-m" :
           a->num_cpus != b->num_cpus ? "-smp" :
           a->mte != b->mte ? "mte of -machine and rme-guest" :
           a->ipa_bits != b->ipa_bits ? "-machine (the IPA width)" :
           a->measurement_algorithm != b->measurement_algorithm
               ? "measurement-algorithm of rme-guest" :
           memcmp(a->rpv, b->rpv, REALM_RPV_SIZE)
               ? "personalization-value of rme-guest" : NULL;
}

static int realm_config_pre_save(void *opaque)
{
    fill_wire_config(opaque);
    return 0;
}

static bool check(const RealmWireConfig *source, const RealmWireConfig *own,
                  Error **errp)
{
    const char *option = differing_option(source, own);

    if (option) {
        error_setg(errp, "Realm: source and destination differ in %s; start "
                   "the destination with the options of the source", option);
        return false;
    }
    /* Nobody knows whether the Realm aligns what it shares to pages of ours. */
    if (own->page_size > source->page_size) {
        error_setg(errp, "Realm: the source's host has pages of %" PRIu32
                   " bytes, or does not say how large they are, and this one "
                   "of %" PRIu32 ", in which the Realm can have private and "
                   "shared memory side by side; use a host with pages of the "
                   "source's size or smaller",
                   source->page_size, own->page_size);
        return false;
    }
    return true;
}

static int realm_config_pre_load(void *opaque)
{
    RealmWireConfig *c = opaque;

    c->page_size = REALM_PAGE_SIZE;
    return 0;
}

static int realm_config_post_load(void *opaque, int version_id)
{
    RealmWireConfig own;
    Error *err = NULL;

    fill_wire_config(&own);
    if (check(opaque, &own, &err)) {
        return 0;
    }
    migrate_set_error(migrate_get_current(), err);
    error_report_err(err);
    return -EINVAL;
}

static bool has_larger_pages(void *opaque)
{
    const RealmWireConfig *c = opaque;

    return c->page_size > REALM_PAGE_SIZE;
}

static const VMStateDescription vmstate_page_size = {
    .name = "realm-config/page-size",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = has_larger_pages,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32(page_size, RealmWireConfig),
        VMSTATE_END_OF_LIST()
    }
};

static const VMStateDescription vmstate_realm_config = {
    .name = "realm-config",
    .version_id = 1,
    .minimum_version_id = 1,
    .early_setup = true,
    .priority = MIG_PRI_MAX - 1, /* before "ram" */
    .pre_save = realm_config_pre_save,
    .pre_load = realm_config_pre_load,
    .post_load = realm_config_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(ram_size, RealmWireConfig),
        VMSTATE_UINT32(num_cpus, RealmWireConfig),
        VMSTATE_UINT8(ipa_bits, RealmWireConfig),
        VMSTATE_UINT8(measurement_algorithm, RealmWireConfig),
        VMSTATE_UINT8(mte, RealmWireConfig),
        VMSTATE_BUFFER(rpv, RealmWireConfig),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription * const []) {
        &vmstate_page_size,
        NULL
    }
};

void realm_config_register(void)
{
    vmstate_register(NULL, 0, &vmstate_realm_config, &wire);
}
