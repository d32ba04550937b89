/*
 * The golden streams: migrations of earlier releases, kept as files
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "mig-golden.h"
#include "mig-steps.h"
#include "rmm-internal.h"

/* Not those of other tests, which may change */
#define PARAMS \
    .ext_flags = RMI_REALM_EXT_MIGRATION | RMI_REALM_EXT_MTE, \
    .ipa_bits = MACHINE_IPA_BITS, .hash_algo = RMI_HASH_SHA_256, \
    .num_bps = 3, .num_wps = 3, .rpv0 = 0x60, .num_recs = GOLDEN_RECS, \
    .granules = 60, .seed = 1, .start_level = 1

const Golden golden_streams[GOLDEN_STREAMS] = {
    {
        .name = "golden-stream-1.0", .params = { PARAMS },
        .minor = 0, .features = MIG_FEATURE_COMPACT, .used = 0,
    },
    {
        /* To a destination that is newer, and offers more than there is */
        .name = "golden-stream-1.0-compact",
        .params = {
            PARAMS,
            .policy = {
                .version = MIG_POLICY_VERSION, .flags = MIG_POLICY_COMPACT
            },
        },
        .minor = 7, .features = MIG_FEATURE_COMPACT | 1ull << 62,
        .used = MIG_FEATURE_COMPACT,
    },
};

char *golden_path(const char *folder, const Golden *g, const char *file)
{
    return g_build_filename(folder, g->name, file, NULL);
}

Record *golden_load(const Golden *g, const char *file)
{
    g_autofree char *path = golden_path(g_getenv("GOLDEN_STREAMS"), g, file);
    char *data;
    gsize size;

    if (!g_file_get_contents(path, &data, &size, NULL)) {
        return NULL;
    }
    return g_byte_array_new_take((uint8_t *)data, size);
}

GPtrArray *golden_load_all(const Golden *g)
{
    GPtrArray *all = g_ptr_array_new_with_free_func(
        (GDestroyNotify)g_byte_array_unref);

    for (;;) {
        g_autofree char *file = g_strdup_printf("%02u.bin", all->len + 1);
        Record *record = golden_load(g, file);

        if (!record) {
            return all;
        }
        g_ptr_array_add(all, record);
    }
}

Machine *golden_destination(const Golden *g)
{
    Machine *m = machine_new(&g->params);

    m->rmm->mig_minor = g->minor;
    m->rmm->mig_features = g->features;
    return m;
}

Record *golden_offer(Machine *m, const Record *random)
{
    Record *offer;

    m->script = random->data;
    m->script_left = random->len;
    OK(machine_offer(m, &offer));
    g_assert_cmpuint(m->script_left, ==, 0);
    return offer;
}
