/*
 * Measurements (see measurement.h)
 *
 * Every measured call but REALM_CREATE extends the RIM by hashing one
 * descriptor, 256 bytes, that contains the RIM so far.  Values shorter than
 * 64 bytes are followed by zeros.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <gnutls/crypto.h>
#include "measurement.h"

/* RmmMeasurementDescriptor*, all types in one (RMM 1.0, B4.4.11 and on). */
typedef struct Descriptor {
    uint8_t type;                       /* 0x00 */
    uint8_t res_01[7];
    uint64_t length;                    /* 0x08 */
    uint8_t rim[MEASUREMENT_BYTES];     /* 0x10 */
    union {                             /* 0x50 */
        struct {
            uint64_t ipa;               /* 0x50 */
            uint64_t flags;             /* 0x58 */
            uint8_t hash[MEASUREMENT_BYTES];    /* 0x60 */
        } data;
        struct {
            uint8_t hash[MEASUREMENT_BYTES];    /* 0x50 */
        } rec;
        struct {
            uint64_t base;              /* 0x50 */
            uint64_t top;               /* 0x58 */
        } ripas;
        struct {
            uint8_t hash[MEASUREMENT_BYTES];    /* 0x50: of MigPolicy */
        } policy;
        uint8_t bytes[0x100 - 0x50];
    } u;
} Descriptor;

_Static_assert(sizeof(Descriptor) == 0x100, "Descriptor");
_Static_assert(offsetof(Descriptor, u.data.hash) == 0x60, "Descriptor.data");

/* RMM 1.0 has three; ours is out of its way. */
enum { TYPE_DATA = 0, TYPE_REC = 1, TYPE_RIPAS = 2, TYPE_POLICY = 0x80 };

static gnutls_digest_algorithm_t digest(uint8_t hash_algo)
{
    return hash_algo == RMI_HASH_SHA_512 ? GNUTLS_DIG_SHA512
                                         : GNUTLS_DIG_SHA256;
}

size_t measurement_size(uint8_t hash_algo)
{
    return hash_algo == RMI_HASH_SHA_512 ? 64 : 32;
}

bool measurement_padding_ok(uint8_t hash_algo,
                            const uint8_t (*values)[MEASUREMENT_BYTES],
                            size_t count)
{
    size_t size = measurement_size(hash_algo);

    for (size_t i = 0; i < count; i++) {
        for (size_t at = size; at < MEASUREMENT_BYTES; at++) {
            if (values[i][at]) {
                return false;
            }
        }
    }
    return true;
}

/* Hash @len bytes to @out, MEASUREMENT_BYTES of it with the padding. */
static void hash_bytes(const RmmRealm *realm, const void *data, size_t len,
                       uint8_t *out)
{
    int err;

    memset(out, 0, MEASUREMENT_BYTES);
    err = gnutls_hash_fast(digest(realm->hash_algo), data, len, out);
    g_assert(err == 0);                 /* both algorithms are built in */
}

static void extend_rim(RmmRealm *realm, Descriptor *desc, uint8_t type)
{
    desc->type = type;
    desc->length = sizeof(*desc);
    memcpy(desc->rim, realm->measurement[0], MEASUREMENT_BYTES);
    hash_bytes(realm, desc, sizeof(*desc), realm->measurement[0]);
}

void measurement_init(RmmRealm *realm, const RmiRealmParams *params)
{
    RmiRealmParams *measured = g_new0(RmiRealmParams, 1);

    measured->flags = params->flags;
    measured->s2sz = params->s2sz & 0xff;
    measured->sve_vl = params->sve_vl & 0xff;
    measured->num_bps = params->num_bps & 0xff;
    measured->num_wps = params->num_wps & 0xff;
    measured->pmu_num_ctrs = params->pmu_num_ctrs & 0xff;
    measured->hash_algo = params->hash_algo & 0xff;
    measured->ext_flags = params->ext_flags;
    hash_bytes(realm, measured, sizeof(*measured), realm->measurement[0]);
    g_free(measured);
}

void measurement_data(RmmRealm *realm, uint64_t ipa, uint64_t flags,
                      const void *contents)
{
    Descriptor desc = { .u.data = { .ipa = ipa, .flags = flags } };

    if (flags & RMI_DATA_MEASURE) {
        hash_bytes(realm, contents, RMM_GRANULE_SIZE, desc.u.data.hash);
    }
    extend_rim(realm, &desc, TYPE_DATA);
}

void measurement_rec(RmmRealm *realm, const RmiRecParams *params)
{
    RmiRecParams *measured = g_new0(RmiRecParams, 1);
    Descriptor desc = { 0 };

    measured->flags = params->flags;
    measured->pc = params->pc;
    memcpy(measured->gprs, params->gprs, sizeof(measured->gprs));
    hash_bytes(realm, measured, sizeof(*measured), desc.u.rec.hash);
    g_free(measured);
    extend_rim(realm, &desc, TYPE_REC);
}

void measurement_ripas(RmmRealm *realm, uint64_t base, uint64_t top)
{
    Descriptor desc = { .u.ripas = { .base = base, .top = top } };

    extend_rim(realm, &desc, TYPE_RIPAS);
}

void measurement_finish(RmmRealm *realm)
{
    Descriptor desc = { 0 };

    memcpy(realm->rim_base, realm->measurement[0], sizeof(realm->rim_base));
    if (realm_may_migrate(realm)) {
        hash_bytes(realm, &realm->policy, sizeof(realm->policy),
                   desc.u.policy.hash);
        extend_rim(realm, &desc, TYPE_POLICY);
    }
}

/*
 * The old value at the length of its hash, then the new bytes.  The text
 * leaves the padding open; this is what TF-RMM does.
 */
void measurement_extend(RmmRealm *realm, unsigned slot,
                        const void *data, size_t size)
{
    size_t old = measurement_size(realm->hash_algo);
    uint8_t buf[2 * MEASUREMENT_BYTES];

    g_assert(slot > 0 && slot < MEASUREMENT_SLOTS);
    g_assert(size <= MEASUREMENT_BYTES);
    memcpy(buf, realm->measurement[slot], old);
    memcpy(buf + old, data, size);
    hash_bytes(realm, buf, old + size, realm->measurement[slot]);
}
