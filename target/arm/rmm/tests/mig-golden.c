/*
 * The golden streams: migrations of earlier releases, kept as files
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "mig-golden.h"
#include "mig-steps.h"
#include "rec.h"
#include "rmm-internal.h"
#include "test-keys.h"

/* Not those of other tests, which may change */
#define PARAMS \
    .ipa_bits = MACHINE_IPA_BITS, \
    .num_bps = 3, .num_wps = 3, .rpv0 = 0x60, .num_recs = GOLDEN_RECS, \
    .granules = 60, .start_level = 1
#define PARAMS_MTE \
    PARAMS, .ext_flags = RMI_REALM_EXT_MIGRATION | RMI_REALM_EXT_MTE, \
    .hash_algo = RMI_HASH_SHA_256

/*
 * Of the random numbers.  If both sides drew the same key and nonce, nobody
 * would notice a key derivation that mixes the two sides up.
 */
enum { SEED_DESTINATION = 1, SEED_SOURCE = 2 };

const Golden golden_streams[GOLDEN_STREAMS] = {
    {
        .name = "golden-stream-1.0", .params = { PARAMS_MTE },
        .minor = 0, .features = MIG_FEATURE_COMPACT, .used = 0,
    },
    {
        /* To a destination that is newer, and offers more than there is */
        .name = "golden-stream-1.0-compact",
        .params = {
            PARAMS_MTE,
            .policy = {
                .version = MIG_POLICY_VERSION, .flags = MIG_POLICY_COMPACT
            },
        },
        .minor = 7, .features = MIG_FEATURE_COMPACT | 1ull << 62,
        .used = MIG_FEATURE_COMPACT,
    },
    {
        .name = "golden-stream-1.0-anchors",
        .params = {
            PARAMS,
            .ext_flags = RMI_REALM_EXT_MIGRATION,
            .hash_algo = RMI_HASH_SHA_512,
            .policy = { .version = MIG_POLICY_VERSION, .num_anchors = 2 },
        },
        .minor = 0, .features = 0, .used = 0, .anchors = true,
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

/* A machine does not own its key; the destination's is the usual one. */
static GBytes *source_key(const Golden *g)
{
    static GBytes *key;

    if (!key) {
        key = g_bytes_new_static(rak_der, sizeof(rak_der));
    }
    return g->anchors ? key : NULL;
}

/* Of both sides, but for seed and key */
static MachineParams params_of(const Golden *g)
{
    MachineParams params = g->params;

    if (g->anchors) {
        params.policy.anchors[0] = machine_anchor(NULL);
        params.policy.anchors[1] = machine_anchor(source_key(g));
    }
    return params;
}

Machine *golden_destination(const Golden *g)
{
    MachineParams params = params_of(g);
    Machine *m;

    params.seed = SEED_DESTINATION;
    m = machine_new(&params);
    m->rmm->mig_minor = g->minor;
    m->rmm->mig_features = g->features;
    return m;
}

Machine *golden_source(const Golden *g)
{
    MachineParams params = params_of(g);

    params.seed = SEED_SOURCE;
    params.platform_key = source_key(g);
    return source_new(&params, GOLDEN_PAGES);
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

/* ---- what arrives, in words that no structure of ours changes ---- */

static void add_page(GChecksum *sum, Machine *m, uint64_t ipa)
{
    uint8_t *tags, *page = machine_page(m, ipa, false, &tags);

    if (page) {
        g_checksum_update(sum, (uint8_t *)&ipa, sizeof(ipa));
        g_checksum_update(sum, page, RMM_GRANULE_SIZE);
        if (m->params.ext_flags & RMI_REALM_EXT_MTE) {
            g_checksum_update(sum, tags, RMM_TAG_BYTES);
        }
    }
}

char *golden_describe(Machine *m)
{
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_autofree char *map = ripas_map(m);
    RmmRealm *realm = realm_lock(m->rmm, m->rd);
    char *text;

    g_checksum_update(sum, (uint8_t *)map, strlen(map));
    for (int i = 0; i < MEASUREMENT_SLOTS; i++) {
        g_checksum_update(sum, realm->measurement[i], MEASUREMENT_BYTES);
    }
    for (unsigned i = 0; i < GOLDEN_RECS; i++) {
        g_checksum_update(sum, (uint8_t *)realm->recs[i]->x, 31 * 8);
        g_checksum_update(sum, (uint8_t *)&realm->recs[i]->pc, 8);
        g_checksum_update(sum, m->contexts[i], MACHINE_CONTEXT);
    }
    realm_unlock(realm);
    for (uint64_t ipa = 0; ipa < MACHINE_RAM_TOP; ipa += RMM_GRANULE_SIZE) {
        add_page(sum, m, ipa);
    }
    text = g_strdup(g_checksum_get_string(sum));
    g_checksum_free(sum);
    return text;
}

/* ---- records ---- */

/* One page for each form of tags: none, uniform, runs; the others are raw */
static void tag_pages(Machine *src, const uint64_t *ipas)
{
    static const uint8_t first[] = { 0, 0x99, 0x31 }, rest[] = { 0, 0x99, 0 };
    uint8_t *tags;

    for (unsigned i = 0; i < G_N_ELEMENTS(first); i++) {
        machine_page(src, ipas[i], true, &tags);
        memset(tags, rest[i], RMM_TAG_BYTES);
        tags[0] = first[i];
    }
    for (unsigned i = G_N_ELEMENTS(first); i < GOLDEN_PAGES; i++) {
        machine_page(src, ipas[i], true, &tags);
        for (unsigned b = 0; b < RMM_TAG_BYTES; b++) {
            tags[b] = b * 37 + 0x10 * i;
        }
    }
}

GPtrArray *golden_make_records(Machine *src)
{
    GPtrArray *all = g_ptr_array_new_with_free_func(
        (GDestroyNotify)g_byte_array_unref);
    GRand *rand = g_rand_new_with_seed(7);
    uint64_t ipas[GOLDEN_PAGES], result;

    g_ptr_array_add(all, machine_export(src, MIG_EXPORT_BEGIN, 0, &result));
    for (unsigned i = 0; i < GOLDEN_PAGES; i++) {
        ipas[i] = page_ipa(i, GOLDEN_PAGES);
    }
    tag_pages(src, ipas);
    g_array_unref(machine_collect(src));
    g_ptr_array_add(all, machine_send_pages(src, ipas, 2, 0));
    g_ptr_array_add(all, machine_send_pages(src, ipas + 2, GOLDEN_PAGES - 2,
                                            1));
    machine_scribble(src, ipas[1], rand);
    g_ptr_array_add(all, machine_export(src, MIG_EXPORT_EPOCH, 0, &result));
    OK(MIG(src, MIG_PAUSE));
    g_array_unref(machine_collect(src));
    g_ptr_array_add(all, machine_send_pages(src, ipas + 1, 1, 0));
    g_ptr_array_extend_and_steal(all, machine_final_records(src));
    g_ptr_array_add(all, machine_start(src, NULL, &result));
    g_rand_free(rand);
    return all;
}
