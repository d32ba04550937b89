/*
 * The golden streams: migrations of earlier releases, kept as files
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "cose.h"
#include "mig-golden.h"
#include "mig-steps.h"
#include "rec.h"
#include "rmm-internal.h"
#include "session.h"
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

/* What both sides say that they are made of */
static const TokenComponent software[] = {
    { "RMM", "2.0.7", { 0x11, 0x12 } },
    { "firmware", "1.10-golden", { 0x21, 0x22 } },
    { "library", "4-1", { 0x31, 0x32 } },
};

const Golden golden_streams[GOLDEN_STREAMS] = {
    {
        .name = "golden-stream-2.0", .params = { PARAMS_MTE },
        .minor = 0, .features = MIG_FEATURE_COMPACT, .used = 0,
    },
    {
        /* To a destination that is newer, and offers more than there is */
        .name = "golden-stream-2.0-compact",
        .params = {
            PARAMS_MTE,
            .policy = {
                .version = MIG_POLICY_VERSION, .flags = MIG_POLICY_COMPACT
            },
        },
        .minor = 7, .features = MIG_FEATURE_COMPACT, .unknown = 1ull << 62,
        .used = MIG_FEATURE_COMPACT,
    },
    {
        .name = "golden-stream-2.0-anchors",
        .params = {
            PARAMS,
            .ext_flags = RMI_REALM_EXT_MIGRATION,
            .hash_algo = RMI_HASH_SHA_512,
            .policy = {
                .version = MIG_POLICY_VERSION,
                .flags = MIG_POLICY_IMPLEMENTATION,
                .num_anchors = 2, .num_rules = 4,
                .implementation_id = TOKEN_IMPLEMENTATION,
            },
        },
        .minor = 0, .features = 0, .used = 0, .anchors = true,
    },
    {
        /* Without the data of pages of zeros */
        .name = "golden-stream-2.0-zero",
        .params = {
            PARAMS_MTE,
            .policy = {
                .version = MIG_POLICY_VERSION, .flags = MIG_POLICY_COMPACT
            },
        },
        .minor = 0, .features = MIG_FEATURE_COMPACT | MIG_FEATURE_ZERO,
        .used = MIG_FEATURE_COMPACT | MIG_FEATURE_ZERO,
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

/* Whoever has the platform key signs the model's components. */
static MigRule signer_rule(const uint8_t *der, size_t size)
{
    MigRule rule = {
        .kind = MIG_RULE_SIGNER, .value_size = CRYPTO_HASH_SIZE, .type = "RMM",
        .version = { 2, 0, 3 },
    };
    CoseKey *key = cose_key_new(der, size);
    GBytes *public = cose_key_public(key);

    crypto_hash(rule.value, g_bytes_get_data(public, NULL),
                g_bytes_get_size(public));
    g_bytes_unref(public);
    cose_key_free(key);
    return rule;
}

static MigRule measurement_rule(const char *type, const TokenComponent *c)
{
    MigRule rule = {
        .kind = MIG_RULE_MEASUREMENT, .value_size = TOKEN_HASH_SIZE,
    };

    g_strlcpy(rule.type, type, sizeof(rule.type));
    memcpy(rule.value, c->measurement, TOKEN_HASH_SIZE);
    return rule;
}

static MigAnchor authority(void)
{
    GBytes *key = g_bytes_new_static(authority_der, sizeof(authority_der));
    MigAnchor anchor = machine_anchor(key);

    anchor.kind = MIG_ANCHOR_AUTHORITY;
    g_bytes_unref(key);
    return anchor;
}

/* Of both sides, but for seed and key */
static MachineParams params_of(const Golden *g)
{
    MachineParams params = g->params;

    if (g->anchors) {
        params.policy.anchors[0] = authority();
        params.policy.anchors[1] = machine_anchor(source_key(g));
        params.policy.rules[0] = signer_rule(platform_der,
                                             sizeof(platform_der));
        params.policy.rules[1] = signer_rule(rak_der, sizeof(rak_der));
        params.policy.rules[2] = measurement_rule("firmware", &software[1]);
        params.policy.rules[3] = measurement_rule("", &software[2]);
    }
    return params;
}

static Machine *with_software(Machine *m)
{
    m->rmm->platform.software = software;
    m->rmm->platform.num_software = G_N_ELEMENTS(software);
    return m;
}

static size_t certificates(void *opaque, void *buf, size_t size)
{
    g_assert_cmpuint(sizeof(platform_certs), <=, size);
    memcpy(buf, platform_certs, sizeof(platform_certs));
    return sizeof(platform_certs);
}

Machine *golden_destination(const Golden *g)
{
    MachineParams params = params_of(g);
    Machine *m;

    params.seed = SEED_DESTINATION;
    m = with_software(machine_new(&params));
    m->rmm->ops.certificates = g->anchors ? certificates : NULL;
    m->rmm->mig_minor = g->minor;
    m->rmm->mig_features = g->features;
    return m;
}

Machine *golden_source(const Golden *g)
{
    MachineParams params = params_of(g);

    params.seed = SEED_SOURCE;
    params.platform_key = source_key(g);
    return with_software(source_new(&params, GOLDEN_PAGES));
}

Record *golden_offer(const Golden *g, Machine *m)
{
    MigSession *s;
    Record *offer;

    OK(machine_offer(m, &offer));
    if (g->unknown) {
        /* This RMM offers none that it does not have: one that has it would */
        s = machine_session(m);
        s->features |= g->unknown;
        s->hello.hello.features = s->features;
        g_assert_cmpint(session_sign(m->rmm, &s->hello, NULL), ==, 0);
        s->offer = session_offer(&s->hello);
        g_byte_array_set_size(offer, 0);
        g_byte_array_append(offer, (uint8_t *)&s->hello, s->hello.hello.size);
    }
    return offer;
}

Record *golden_offer_again(const Golden *g, Machine *m)
{
    Record *random = golden_load(g, "random.bin");
    Record *nonce = golden_load(g, "nonce.bin");
    Record *offer;

    g_assert_cmpuint(nonce->len, ==, sizeof(m->nonce));
    memcpy(m->nonce, nonce->data, nonce->len);
    m->script = random->data;
    m->script_left = random->len;
    offer = golden_offer(g, m);
    g_assert_cmpuint(m->script_left, ==, 0);
    g_byte_array_unref(nonce);
    g_byte_array_unref(random);
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
    const MigHistory *h = &realm->history;
    char *text;

    g_checksum_update(sum, (uint8_t *)map, strlen(map));
    for (int i = 0; i < MEASUREMENT_SLOTS; i++) {
        g_checksum_update(sum, realm->measurement[i], MEASUREMENT_BYTES);
    }
    g_checksum_update(sum, h->instance_id, sizeof(h->instance_id));
    g_checksum_update(sum, (uint8_t *)&h->migrations, sizeof(h->migrations));
    g_checksum_update(sum, (uint8_t *)&h->weakest_lifecycle,
                      sizeof(h->weakest_lifecycle));
    g_checksum_update(sum, h->weakest_implementation,
                      sizeof(h->weakest_implementation));
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

/*
 * Two of them, one with tags.  Only for those who may say so in few bytes: the
 * streams that were made before this have none.
 */
static void clear_pages(Machine *src, const uint64_t *ipas)
{
    if (session_omits_zeros(machine_session(src))) {
        memset(machine_page(src, ipas[0], true, NULL), 0, RMM_GRANULE_SIZE);
        memset(machine_page(src, ipas[2], true, NULL), 0, RMM_GRANULE_SIZE);
    }
}

static void send(GPtrArray *all, Machine *src, const uint64_t *ipas,
                 size_t count, unsigned stream)
{
    g_ptr_array_add(all, machine_send_pages(src, ipas, count, stream));
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
    clear_pages(src, ipas);
    g_array_unref(machine_collect(src));
    send(all, src, ipas, 1, 0);
    send(all, src, ipas + 1, 2, 1);
    send(all, src, ipas + 3, 1, MIG_MAX_STREAMS - 1);
    send(all, src, ipas + 4, 1, 1);
    machine_scribble(src, ipas[1], rand);
    g_ptr_array_add(all, machine_export(src, MIG_EXPORT_EPOCH, 0, &result));
    OK(MIG(src, MIG_PAUSE));
    g_array_unref(machine_collect(src));
    send(all, src, ipas + 1, 1, MIG_MAX_STREAMS - 1);
    g_ptr_array_extend_and_steal(all, machine_final_records(src));
    g_rand_free(rand);
    return all;
}
